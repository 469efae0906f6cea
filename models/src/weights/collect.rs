use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, backend::Backend};

use super::path::{ModulePath, is_batch_counter, is_parameter};

/// A tensor on the host as PyTorch's `state_dict` has it, but for its type: everything is f32
/// here, BatchNorm's counter of batches too.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name with prefix, such as `backbone.layer1.conv.weight`.
    pub name: String,
    /// Shape in PyTorch's layout: a linear weight is `[out, in]`, a counter a scalar `[]`.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl NamedTensor {
    /// Whether this is BatchNorm's counter of batches, an i64 scalar in files.
    pub fn is_batch_counter(&self) -> bool {
        is_batch_counter(&self.name)
    }
}

/// The parameters and running statistics of `module`, in its order, with `prefix` and a dot before
/// each name (nothing where it is empty).
///
/// Values are those of the moment, on autodiff and plain backends alike. Tensors of other element
/// types than the backend's floats are not part of it.
pub fn named_tensors<B: Backend, M: Module<B>>(module: &M, prefix: &str) -> Vec<NamedTensor> {
    let mut collector = Collector { path: ModulePath::default(), prefix, tensors: Vec::new() };
    module.visit(&mut collector);
    collector.tensors
}

/// Names and shapes of the same tensors, in the same order, without their values.
pub(super) fn named_shapes<B: Backend, M: Module<B>>(module: &M, prefix: &str) -> Vec<(String, Vec<usize>)> {
    struct Shapes<'a> {
        path: ModulePath,
        prefix: &'a str,
        found: Vec<(String, Vec<usize>)>,
    }
    impl<B: Backend> ModuleVisitor<B> for Shapes<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let name = self.path.name(self.prefix);
            let mut shape = param.lazy_shape().to_vec();
            if self.path.is_linear_weight() {
                shape.reverse();
            }
            if is_batch_counter(&name) {
                shape.clear();
            }
            self.found.push((name, shape));
        }
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
    }

    let mut shapes = Shapes { path: ModulePath::default(), prefix, found: Vec::new() };
    module.visit(&mut shapes);
    shapes.found
}

/// Number of trained values in `module`: unlike Burn's `num_params`, without running statistics.
pub fn parameter_count<B: Backend, M: Module<B>>(module: &M) -> usize {
    struct Counter {
        path: ModulePath,
        count: usize,
    }
    impl<B: Backend> ModuleVisitor<B> for Counter {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if is_parameter(&self.path.name("")) {
                self.count += param.lazy_shape().num_elements();
            }
        }
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
    }

    let mut counter = Counter { path: ModulePath::default(), count: 0 };
    module.visit(&mut counter);
    counter.count
}

struct Collector<'a> {
    path: ModulePath,
    prefix: &'a str,
    tensors: Vec<NamedTensor>,
}

impl<B: Backend> ModuleVisitor<B> for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let name = self.path.name(self.prefix);
        let tensor = match self.path.is_linear_weight() {
            true => param.val().transpose(),
            false => param.val(),
        };
        let shape = match is_batch_counter(&name) {
            true => Vec::new(),
            false => tensor.dims().to_vec(),
        };
        let values = tensor.into_data().convert::<f32>().into_vec().expect("data converted to f32 is f32");
        self.tensors.push(NamedTensor { name, shape, values });
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }
}

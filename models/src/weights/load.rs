use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::collect::NamedTensor;
use super::path::ModulePath;

/// Puts tensors into `module`. Each of the module's tensors must be there, in its shape: whoever
/// calls has checked it.
pub(super) fn put<B: Backend, M: Module<B>>(module: M, prefix: &str, tensors: BTreeMap<String, NamedTensor>) -> M {
    module.map(&mut Loader { path: ModulePath::default(), prefix, tensors })
}

struct Loader<'a> {
    path: ModulePath,
    prefix: &'a str,
    tensors: BTreeMap<String, NamedTensor>,
}

impl<B: Backend> ModuleMapper<B> for Loader<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.path.name(self.prefix);
        let source = self.tensors.remove(&name).unwrap_or_else(|| panic!("no tensor `{name}`"));
        let device = param.lazy_device();
        let id = param.id;
        let tensor = match self.path.is_linear_weight() {
            true => {
                let (outputs, inputs) = (source.shape[0], source.shape[1]);
                let values = (0..inputs * outputs)
                    .map(|at| source.values[at % outputs * inputs + at / outputs])
                    .collect::<Vec<_>>();
                Tensor::from_data(TensorData::new(values, param.lazy_shape()), &device)
            }
            false => {
                let data = TensorData::new(source.values, param.lazy_shape());
                Tensor::from_data(data, &device)
            }
        };
        param.transform_for_load(tensor, id)
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }
}

//! The steps of a block as kernels for GPUs.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_cube::{Call, Fold, KernelBackend, Normalize, Patches};
use qare_host::{FloatPrimitive, primitive, tensor};

use super::kernels::{BlockKernels, Moments, Normalization, Pass};
use super::weight_gradient::Sizes;
use crate::running_statistics::RunningStatistics;

/// The kernels of `qare-cube`.
#[derive(Clone, Debug)]
pub(super) struct CubeKernels;

impl<B: KernelBackend> BlockKernels<B> for CubeKernels {
    fn moments(maps: Tensor<B, 4>, running: RunningStatistics<B>) -> Moments<B> {
        let momentum = running.momentum;
        let inputs =
            vec![primitive(maps), primitive(running.mean), primitive(running.variance), primitive(running.batches)];
        let outputs: [_; 4] = B::run(Call::Moments { momentum }, inputs).try_into().expect("there are four outputs");
        let [both, mean, variance, batches] = outputs;
        let [mean, variance, batches] = [mean, variance, batches].map(tensor);
        Moments { both: tensor(both), running: RunningStatistics { mean, variance, batches, momentum } }
    }

    fn normalize(maps: Tensor<B, 4>, of: &Normalization<B>, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let call = Call::Normalize(call(of, residual.is_some()));
        let mut inputs = inputs(maps, of);
        inputs.extend(residual.map(primitive));
        one(B::run(call, inputs))
    }

    fn parameter_gradients(pass: &Pass<B>) -> [Tensor<B, 1>; 2] {
        let call = Call::ParameterGradients(call(&pass.normalization, pass.residual.is_some()));
        let mut inputs = inputs(pass.maps.clone(), &pass.normalization);
        inputs.push(primitive(pass.of_output.clone()));
        inputs.extend(pass.residual.clone().map(primitive));
        let outputs: [_; 2] = B::run(call, inputs).try_into().expect("there are two gradients");
        outputs.map(tensor)
    }

    fn maps_gradient(pass: &Pass<B>, parameters: &[Tensor<B, 1>; 2]) -> (Tensor<B, 4>, Option<Tensor<B, 4>>) {
        let call = Call::MapsGradient(call(&pass.normalization, pass.residual.is_some()));
        let mut inputs = inputs(pass.maps.clone(), &pass.normalization);
        inputs.push(primitive(pass.of_output.clone()));
        inputs.extend(parameters.clone().map(primitive));
        inputs.extend(pass.residual.clone().map(primitive));
        let mut outputs = B::run(call, inputs).into_iter();
        let of_maps = outputs.next().expect("there is a gradient of the maps");
        (tensor(of_maps), outputs.next().map(tensor))
    }

    fn patches(maps: Tensor<B, 4>, sizes: Sizes) -> Tensor<B, 3> {
        one(B::run(Call::Patches(patches(sizes)), vec![primitive(maps)]))
    }

    fn fold(patches: Tensor<B, 3>, sizes: Sizes) -> Tensor<B, 4> {
        let call = Fold { patches: self::patches(sizes), height: sizes.height, width: sizes.width };
        one(B::run(Call::Fold(call), vec![primitive(patches)]))
    }

    fn product<const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D> {
        let columns = b.dims()[D - 1];
        one(B::run(Call::Product { columns }, vec![primitive(a), primitive(b)]))
    }

    /// Twice the units of the widest plane that there is, 64: see [`Call::Product`].
    fn needs_product(length: usize) -> bool {
        !length.is_multiple_of(128)
    }
}

fn patches(Sizes { kernel, stride, padding, .. }: Sizes) -> Patches {
    Patches { kernel, stride, padding }
}

fn call<B: Backend>(of: &Normalization<B>, residual: bool) -> Normalize {
    Normalize { epsilon: of.epsilon, slope: of.slope, window: of.window, residual }
}

/// The inputs that all calls begin with.
fn inputs<B: Backend>(maps: Tensor<B, 4>, of: &Normalization<B>) -> Vec<FloatPrimitive<B>> {
    vec![primitive(maps), primitive(of.moments.clone()), primitive(of.gamma.clone()), primitive(of.beta.clone())]
}

fn one<B: Backend, const D: usize>(outputs: Vec<FloatPrimitive<B>>) -> Tensor<B, D> {
    let [output] = <[_; 1]>::try_from(outputs).unwrap_or_else(|_| unreachable!("the call has one output"));
    tensor(output)
}

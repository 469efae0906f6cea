//! The call on the tensors of an optimizer.

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::call::{Adam, Correction};
use crate::kernels::adam::{self, BeforeLaunch, ChangedLaunch, ConditionLaunch, RatesLaunch};
use crate::launch::{array, empty, grid};

/// Arrays of each tensor: weights, gradient, new weights, and both moments.
const ARRAYS: usize = 5;
/// Arrays of all: the three of the condition, and one of sizes and scalars.
const SHARED_ARRAYS: usize = 4;
/// Most tensors in a kernel. All versions of CUDA allow 4 KiB of arguments, of which each tensor takes 92 bytes: an address and two lengths
/// of each array, and three numbers of the gradient.
const MOST_TENSORS: usize = 32;
/// Number of units: enough to keep the memory of a large GPU busy.
const UNITS: usize = 1 << 18;

/// A tensor of a step.
struct Stepped<R: CubeRuntime> {
    weights: CubeTensor<R>,
    /// Read as it lies.
    gradient: CubeTensor<R>,
    new_weights: CubeTensor<R>,
    mean: CubeTensor<R>,
    square: CubeTensor<R>,
}

/// Takes a step of tensors. Moments that nothing else holds change in place.
pub(crate) fn adam_step<R: CubeRuntime>(call: Adam, mut inputs: Vec<CubeTensor<R>>) -> Vec<CubeTensor<R>> {
    let client = inputs[0].client.clone();
    let conditional = call.correction == Correction::Conditional;
    // A step without a condition gets arrays that it does not read.
    let condition = match conditional {
        true => inputs.split_off(inputs.len() - 3).into_iter().map(into_contiguous).collect(),
        false => vec![inputs[0].clone(); 3],
    };
    let mut inputs = inputs.into_iter();
    let mut tensors = Vec::new();
    while let Some(weights) = inputs.next() {
        let [gradient, mean, square] = [(); 3].map(|()| inputs.next().expect("each tensor has four inputs"));
        let weights = into_contiguous(weights);
        let new_weights = empty(&weights, weights.meta.shape.clone(), weights.dtype);
        let [mean, square] = [mean, square].map(changeable);
        tensors.push(Stepped { weights, gradient, new_weights, mean, square });
    }
    let allowed = (client.properties().hardware.max_bindings as usize).saturating_sub(SHARED_ARRAYS) / ARRAYS;
    for tensors in tensors.chunks(allowed.clamp(1, MOST_TENSORS)) {
        let longest = tensors.iter().map(|tensor| tensor.weights.meta.num_elements()).max().unwrap_or_default();
        let units = longest.clamp(1, UNITS);
        let (count, dim) = grid(&tensors[0].weights, units);
        let before = tensors.iter().map(|Stepped { weights, gradient, .. }| {
            BeforeLaunch::new(array(weights), gradient.clone().into_tensor_arg(), gradient.is_contiguous())
        });
        let changed = tensors.iter().map(|Stepped { new_weights, mean, square, .. }| {
            ChangedLaunch::new(array(new_weights), array(mean), array(square))
        });
        let Adam { rate, beta_1, beta_2, weight_decay, correction } = call;
        let (factor, epsilon) = match correction {
            Correction::Known { factor, epsilon } => (factor, epsilon),
            Correction::Conditional => (0.0, 0.0),
        };
        let [taken, of_factor, of_epsilon] = [0, 1, 2].map(|place: usize| array(&condition[place]));
        adam::adam_step::launch::<R>(
            &client,
            count,
            dim,
            before.collect(),
            changed.collect(),
            ConditionLaunch::new(taken, of_factor, of_epsilon),
            RatesLaunch::new(rate as f32, beta_1, beta_2, factor, epsilon, weight_decay),
            units,
            conditional,
            weight_decay != 0.0,
        );
    }
    tensors.into_iter().flat_map(|tensor| [tensor.new_weights, tensor.mean, tensor.square]).collect()
}

/// The tensor, or a copy if something else holds its memory.
fn changeable<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

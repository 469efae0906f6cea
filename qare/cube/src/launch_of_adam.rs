//! The call on the tensors of an optimizer.

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::call::{Adam, Call};
use crate::kernels::adam::{self, AfterLaunch, BeforeLaunch, RatesLaunch};
use crate::launch::{array, grid, outputs_of};

/// Inputs and outputs of each tensor.
const INPUTS: usize = 4;
const OUTPUTS: usize = 3;
/// Most tensors in a kernel, so that its arguments fit in the 4 KiB that all versions of CUDA allow.
const MOST_TENSORS: usize = 32;
/// Number of units: enough to keep the memory of a large GPU busy.
const UNITS: usize = 1 << 18;

/// Takes a step of tensors. Gradients are read as they lie.
pub(crate) fn adam_step<R: CubeRuntime>(call: Adam, inputs: Vec<CubeTensor<R>>) -> Vec<CubeTensor<R>> {
    let is_gradient = |at: usize| at % INPUTS == 1;
    let prepared = |(at, input)| if is_gradient(at) { input } else { into_contiguous(input) };
    let inputs: Vec<_> = inputs.into_iter().enumerate().map(prepared).collect();
    let outputs: Vec<_> = outputs_of(Call::Adam(call), &inputs);
    let client = &inputs[0].client;
    // Two arrays are left for sizes and scalars.
    let allowed = (client.properties().hardware.max_bindings as usize).saturating_sub(2) / (INPUTS + OUTPUTS);
    let tensors = allowed.clamp(1, MOST_TENSORS);
    for (inputs, outputs) in inputs.chunks(INPUTS * tensors).zip(outputs.chunks(OUTPUTS * tensors)) {
        let longest = outputs.iter().map(|output| output.meta.num_elements()).max().unwrap_or_default();
        let units = longest.clamp(1, UNITS);
        let (count, dim) = grid(&outputs[0], units);
        let before = inputs.chunks(INPUTS).map(|of| {
            let gradient = of[1].clone().into_tensor_arg();
            BeforeLaunch::new(array(&of[0]), gradient, array(&of[2]), array(&of[3]), of[1].is_contiguous())
        });
        let after = outputs.chunks(OUTPUTS).map(|of| AfterLaunch::new(array(&of[0]), array(&of[1]), array(&of[2])));
        let Adam { rate, beta_1, beta_2, factor, epsilon, weight_decay } = call;
        adam::adam_step::launch::<R>(
            client,
            count,
            dim,
            before.collect(),
            after.collect(),
            RatesLaunch::new(rate as f32, beta_1, beta_2, factor, epsilon, weight_decay),
            units,
            weight_decay != 0.0,
        );
    }
    outputs
}

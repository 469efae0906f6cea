//! Steps of Adam on host backends: one pass over memory on all cores, where Burn's Adam has a dozen on one core. It is in place where
//! the backend lets go of its memory, as Flex does.

use burn::backend::Autodiff;
use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Shape, Tensor};
use qare_host::{FloatPrimitive, HostBackend, HostOperation, computes_on_host, dispatch, primitive, tensor};
use qare_kernels::{Adam, Buffer};

use super::bias_correction::correction;
use super::optimizer::{BETA_1, BETA_2};

/// What a step changes or reads of one parameter.
struct Step<B: Backend> {
    adam: Adam,
    shape: Shape,
    gradient: FloatPrimitive<B>,
    /// Weights, mean gradient and mean squared gradient.
    changed: [FloatPrimitive<B>; 3],
}

struct AdamStep;

impl HostOperation for AdamStep {
    type Input<B: Backend> = Step<B>;
    type Output<B: Backend> = [FloatPrimitive<B>; 3];

    fn plain<H: HostBackend>(step: Step<H>) -> [FloatPrimitive<H>; 3] {
        let Step { adam, shape, gradient, changed } = step;
        let [mut weights, mut mean, mut square] = changed.map(|tensor| H::owned(H::values(tensor)));
        let gradient = H::values(gradient);
        adam.step(&mut weights, H::slice(&gradient), &mut mean, &mut square);
        // The kernels use the memory of the gradient again in the next step.
        drop(H::into_vec(gradient).map(Buffer::from));
        [weights, mean, square].map(|values| H::tensor(values, shape.clone()))
    }

    /// Nothing is put on the graph.
    fn with_autodiff<H: HostBackend>(step: Step<Autodiff<H>>) -> [FloatPrimitive<Autodiff<H>>; 3] {
        let Step { adam, shape, gradient, changed } = step;
        let [gradient] = [gradient].map(|tensor| tensor.primitive);
        let changed = changed.map(|tensor| tensor.primitive);
        Self::plain::<H>(Step { adam, shape, gradient, changed }).map(Autodiff::<H>::from_inner)
    }
}

/// Weights, gradient and state of a parameter.
pub(super) type Parameter<B, const D: usize> = (Tensor<B, D>, Tensor<B, D>, Option<AdamState<B, D>>);

/// Takes a step if the backend is a host backend and all tensors are f32. Returns the bits that Burn's Adam returns.
///
/// # Errors
///
/// Otherwise weights, gradient and state come back.
pub(super) fn step<B: Backend, const D: usize>(
    rate: LearningRate,
    weight_decay: f32,
    (weights, gradient, state): Parameter<B, D>,
) -> Result<(Tensor<B, D>, AdamState<B, D>), Parameter<B, D>> {
    let single = |tensor: &Tensor<B, D>| tensor.dtype() == DType::F32;
    let moments_are_single = |AdamState { momentum }: &AdamState<B, D>| {
        let AdaptiveMomentumState { moment_1, moment_2, max_moment_2, .. } = momentum;
        single(moment_1) && single(moment_2) && max_moment_2.is_none()
    };
    if !computes_on_host::<B>(&weights.device())
        || !single(&weights)
        || !single(&gradient)
        || !state.as_ref().is_none_or(moments_are_single)
    {
        return Err((weights, gradient, state));
    }
    let (time, mean, square) = match state {
        Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
        // Without a state, Burn adds nothing to the share of the gradient. To add −0 changes nothing of it, not even its sign.
        None => (0, gradient.full_like(-0.0), gradient.zeros_like()),
    };
    let (factor, epsilon) = correction((time + 1) as i32);
    let adam = Adam { rate: rate as f32, beta_1: BETA_1, beta_2: BETA_2, weight_decay, factor, epsilon };
    let (shape, gradient) = (weights.shape(), primitive(gradient));
    let back = |[weights, mean, square]: [FloatPrimitive<B>; 3], time| {
        let [weights, mean, square] = [weights, mean, square].map(tensor::<B, D>);
        (weights, AdamState::new(AdaptiveMomentumState::new(time, mean, square)))
    };
    let changed = [weights, mean, square].map(primitive);
    match dispatch::<AdamStep, B>(Step { adam, shape, gradient, changed }) {
        Ok(changed) => Ok(back(changed, time + 1)),
        Err(Step { gradient, changed, .. }) => {
            let (weights, state) = back(changed, time);
            Err((weights, tensor(gradient), (time > 0).then_some(state)))
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::SimpleOptimizer;
    use burn::optim::decay::WeightDecayConfig;
    use burn::tensor::Distribution;

    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, any_device};
    use crate::training::optimizer::adam;

    /// Sizes of one thread and of several, and vectors of one value.
    #[test]
    fn steps_equal_those_of_burn_bit_for_bit() {
        let device = any_device();
        for (shape, weight_decay) in [([1, 1], 0.0), ([3, 5], 1e-2), ([300, 257], 0.0), ([129, 333], 1e-4)] {
            let decay = (weight_decay != 0.0).then(|| WeightDecayConfig::new(weight_decay));
            let burns = adam().with_weight_decay(decay).build();
            let start = Tensor::<Plain, 2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let (mut of_burn, mut burns_state) = (start.clone(), None);
            let (mut weights, mut state) = (start, None);
            for turn in 0..12 {
                let scale = 10_f64.powi(turn - 6);
                let gradient = Tensor::random(shape, Distribution::Normal(0.0, scale), &device);
                // Zeros of both signs.
                let (large, small) = (gradient.clone().greater_elem(scale), gradient.clone().lower_elem(-scale));
                let gradient = gradient.mask_fill(large, -0.0).mask_fill(small, 0.0);
                let rate = 1e-3 / f64::from(turn + 1);
                (of_burn, burns_state) = burns.step(rate, of_burn, gradient.clone(), burns_state);
                let after = step(rate, weight_decay, (weights, gradient, state));
                let (new_weights, new_state) = after.unwrap_or_else(|_| panic!("a host backend"));
                (weights, state) = (new_weights, Some(new_state));

                let (own, burns) = (state.clone().unwrap().momentum, burns_state.clone().unwrap().momentum);
                assert_eq!(own.time, burns.time);
                let all = [
                    ("weights", weights.clone(), of_burn.clone()),
                    ("means", own.moment_1, burns.moment_1),
                    ("squares", own.moment_2, burns.moment_2),
                ];
                for (name, found, expected) in all {
                    let bits = |tensor| values(tensor).into_iter().map(f32::to_bits).collect::<Vec<_>>();
                    assert!(bits(found) == bits(expected), "{name} of {shape:?} after step {turn}");
                }
            }
        }
    }

    /// Tensors that something else holds keep their values.
    #[test]
    fn tensors_that_are_shared_stay_as_they_are() {
        let device = any_device();
        let ones = || Tensor::<Plain, 1>::ones([5], &device);
        let (weights, gradient) = (ones(), ones() * 2);
        let (held, held_gradient) = (weights.clone(), gradient.clone());
        let (after, state) = step(0.1, 0.0, (weights, gradient, None)).unwrap_or_else(|_| panic!("a host backend"));
        let held_state = state.clone();
        let (again, _) =
            step(0.1, 0.0, (after.clone(), ones(), Some(state))).unwrap_or_else(|_| panic!("a host backend"));
        assert_eq!((values(held), values(held_gradient)), (vec![1.0; 5], vec![2.0; 5]));
        assert!(values(after.clone())[0] < 1.0 && values(again)[0] < values(after)[0]);
        assert_eq!(values(held_state.momentum.moment_1), vec![2.0 * (1.0 - BETA_1); 5]);
    }
}

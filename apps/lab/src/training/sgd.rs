//! SGD with momentum.

use burn::optim::LearningRate;
use burn::record::Record;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};

/// SGD: v ← momentum·v + g, w ← w − rate·v. There is no dampening, as by default in PyTorch.
///
/// It computes the same bits as Burn's `Sgd`, whose state does not give access to the velocity.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// The factor of v.
    pub momentum: f64,
}

impl Sgd {
    /// Takes a step and returns the weights and the new state.
    pub fn step<B: Backend, const D: usize>(
        self,
        rate: LearningRate,
        weights: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<SgdState<B, D>>,
    ) -> (Tensor<B, D>, SgdState<B, D>) {
        let velocity = match state.and_then(SgdState::into_velocity) {
            Some(velocity) => gradient.add(velocity.mul_scalar(self.momentum)),
            None => gradient,
        };
        let weights = weights - velocity.clone().mul_scalar(rate);
        (weights, SgdState::of(velocity))
    }
}

/// The state of [`Sgd`] for one parameter. Its form in a file is that of Burn's state.
#[derive(Record, Clone)]
pub struct SgdState<B: Backend, const D: usize> {
    momentum: Option<MomentumState<B, D>>,
}

/// The velocity of a parameter.
#[derive(Record, Clone)]
pub struct MomentumState<B: Backend, const D: usize> {
    velocity: Tensor<B, D>,
}

impl<B: Backend, const D: usize> SgdState<B, D> {
    /// The state with a velocity.
    pub fn of(velocity: Tensor<B, D>) -> Self {
        Self { momentum: Some(MomentumState { velocity }) }
    }

    /// Returns the velocity, if there is one.
    pub fn into_velocity(self) -> Option<Tensor<B, D>> {
        self.momentum.map(|momentum| momentum.velocity)
    }

    /// Moves the state to a device.
    pub fn to_device(self, device: &Device<B>) -> Self {
        let momentum = self.momentum.map(|momentum| MomentumState { velocity: momentum.velocity.to_device(device) });
        Self { momentum }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{SgdConfig, SgdState as BurnsState, SimpleOptimizer};
    use burn::record::{BurnRecord, FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
    use burn::tensor::Distribution;

    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, any_device};

    fn bytes<R: Record<Plain>>(record: R) -> Vec<u8> {
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record = BurnRecord::new::<NamedMpkBytesRecorder<FullPrecisionSettings>>(
            record.into_item::<FullPrecisionSettings>(),
        );
        Recorder::<Plain>::save_item::<BurnRecord<_, Plain>>(&recorder, record, ()).unwrap()
    }

    /// Weights after each step, and states in files, are those of Burn.
    #[test]
    fn steps_and_files_equal_those_of_burn_bit_for_bit() {
        let device = any_device();
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        let burns = SgdConfig::new().with_momentum(Some(momentum)).build::<Plain>();
        let own = Sgd { momentum: 0.9 };
        let start = Tensor::<Plain, 2>::random([3, 5], Distribution::Normal(0.0, 1.0), &device);
        let (mut of_burn, mut burns_state): (_, Option<BurnsState<Plain, 2>>) = (start.clone(), None);
        let (mut weights, mut state) = (start, None);
        for step in 0..20 {
            let gradient = Tensor::random([3, 5], Distribution::Normal(0.0, 1.0), &device);
            let rate = 0.1 / f64::from(step + 1);
            (of_burn, burns_state) = burns.step(rate, of_burn, gradient.clone(), burns_state);
            let (after, new_state) = own.step(rate, weights, gradient, state);
            (weights, state) = (after, Some(new_state));
            assert_eq!(
                values(weights.clone()).into_iter().map(f32::to_bits).collect::<Vec<_>>(),
                values(of_burn.clone()).into_iter().map(f32::to_bits).collect::<Vec<_>>(),
                "step {step}"
            );
            assert_eq!(bytes(state.clone().unwrap()), bytes(burns_state.clone().unwrap()), "step {step}");
        }
    }
}

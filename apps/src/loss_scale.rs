//! Dynamic loss scaling: f16 has no numbers between 0 and 6e-8, where many gradients are.
//!
//! The loss is multiplied by a scale before it is differentiated, and the gradients of the weights, which are f32, are divided by it.
//! A scale that makes a gradient overflow is halved, and that step is left out; after many steps in a row without, it is doubled.
//! Scales are powers of two, so that nothing is rounded by them.
//!
//! Source: Micikevicius et al., "Mixed Precision Training" (2018), section 3.2.

use std::sync::{Arc, Mutex, MutexGuard};

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::cast::ToElement;
use qare_models::replicas::Replica;
use serde::{Deserialize, Serialize};

use crate::precision::Precision;

/// The scale that training starts with.
const FIRST: f64 = 65_536.0;
/// Good steps after which it is doubled.
const PATIENCE: usize = 2000;
/// The least scale: where gradients overflow without one, smaller numbers will not help.
const LEAST: f64 = 1.0;

/// Where the scale is; part of a run's state, as the optimizer's is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleState {
    scale: f64,
    /// Steps since it last changed.
    good_steps: usize,
}

impl ScaleState {
    const START: Self = Self { scale: FIRST, good_steps: 0 };

    /// What a step makes of it, given whether its gradients were finite.
    fn after(self, finite: bool) -> Self {
        match (finite, self.good_steps + 1) {
            (false, _) => Self { scale: self.scale / 2.0, good_steps: 0 },
            (true, PATIENCE) => Self { scale: self.scale * 2.0, good_steps: 0 },
            (true, good_steps) => Self { good_steps, ..self },
        }
    }
}

/// Differentiates losses, with a scale where the precision needs one. Clones are one, as an optimizer's are.
#[derive(Clone, Debug)]
pub struct LossScale(Option<Arc<Mutex<ScaleState>>>);

impl LossScale {
    pub fn new(precision: Precision) -> Self {
        Self((precision == Precision::F16).then(|| Arc::new(Mutex::new(ScaleState::START))))
    }

    /// Where the scale is, if there is one.
    pub fn state(&self) -> Option<ScaleState> {
        self.0.as_ref().map(|state| *lock(state))
    }

    /// Goes on from where another process has been.
    pub fn resume(&self, from: Option<ScaleState>) {
        if let (Some(state), Some(from)) = (&self.0, from) {
            *lock(state) = from;
        }
    }

    /// Differentiates a loss `[1]`.
    pub fn backward<B: AutodiffBackend>(&self, loss: Tensor<B, 1>) -> Differentiated<'_, B> {
        let scale = self.state().map(|state| state.scale);
        let loss = match scale {
            Some(scale) => loss * scale,
            None => loss,
        };
        Differentiated { gradients: loss.backward(), scale: self, inverse: scale.map(f64::recip), sums: Vec::new() }
    }
}

fn lock(state: &Mutex<ScaleState>) -> MutexGuard<'_, ScaleState> {
    state.lock().expect("no step panicked")
}

/// A loss that has been differentiated: its gradients for one module after the other, and then whether they are good for a step.
pub struct Differentiated<'a, B: AutodiffBackend> {
    gradients: B::Gradients,
    scale: &'a LossScale,
    /// What the gradients are multiplied by.
    inverse: Option<f64>,
    /// Σ|g| of each parameter so far, `[1]`: not finite if one of its gradients is not.
    sums: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Differentiated<'_, B> {
    /// The gradients of a module's parameters.
    pub fn of<M: AutodiffModule<B>>(&mut self, module: &M) -> GradientsParams {
        let gradients = GradientsParams::from_module(&mut self.gradients, module);
        let Some(inverse) = self.inverse else { return gradients };
        let mut unscaled = Unscaled::<B> { gradients, inverse, sums: &mut self.sums };
        module.visit(&mut unscaled);
        unscaled.gradients
    }

    /// Whether a step may be taken with the gradients: not if the scale made some of them overflow, on whichever of several
    /// devices. It is settled then what the scale is in the next step. For all of them one number is read from the device.
    ///
    /// # Errors
    /// When gradients are not finite without a scale either.
    pub fn are_good(self) -> Result<bool, String> {
        let (Some(state), Some(inverse)) = (&self.scale.0, self.inverse) else { return Ok(true) };
        let finite = self.sums.is_empty() || Tensor::cat(self.sums, 0).sum().into_scalar().to_f64().is_finite();
        let replica = Replica::current();
        let finite = match &replica {
            Some(replica) => {
                let of_all =
                    replica.all_gather(vec![f64::from(u8::from(finite))]).map_err(|error| error.to_string())?;
                of_all.iter().flatten().all(|finite| *finite == 1.0)
            }
            None => finite,
        };
        // The devices' scale is one, and all have read it by now.
        if replica.is_none_or(|replica| replica.rank() == 0) {
            let mut state = lock(state);
            *state = state.after(finite);
        }
        match finite || inverse.recip() > LEAST {
            true => Ok(finite),
            false => Err(format!(
                "gradients are not finite even where the loss is multiplied by no more than {LEAST}: they are out of the range of f16, \
                 or training has diverged (use --precision bf16 or f32, or lower the learning rate)"
            )),
        }
    }
}

/// Divides the gradients of a module's parameters by the scale.
struct Unscaled<'a, B: AutodiffBackend> {
    gradients: GradientsParams,
    inverse: f64,
    sums: &'a mut Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Unscaled<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else { return };
        self.sums.push(gradient.clone().abs().sum());
        self.gradients.register(param.id, gradient * self.inverse);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use qare_models::replicas::{BatchStatistics, ReplicaGroup};

    use super::*;
    use crate::backend::{Training, any_device};
    use crate::features::values;

    /// A module of one parameter `[2]`.
    type Weights = Param<Tensor<Training, 1>>;

    fn scale() -> LossScale {
        LossScale::new(Precision::F16)
    }

    /// The gradient of Σ factors·w, if a step may be taken with it.
    fn step(scale: &LossScale, factors: [f32; 2]) -> Result<Option<Vec<f32>>, String> {
        let weights: Weights = Param::from_data(TensorData::from([1.0f32, 2.0]), &any_device());
        let factors = Tensor::<Training, 1>::from_floats(factors, &any_device());
        let mut differentiated = scale.backward((weights.val() * factors).sum());
        let gradients = differentiated.of(&weights);
        let gradient = gradients.get::<<Training as AutodiffBackend>::InnerBackend, 1>(weights.id).unwrap();
        Ok(differentiated.are_good()?.then(|| values(gradient)))
    }

    #[test]
    fn gradients_are_those_of_the_loss_to_the_bit() {
        let factors = [0.1, -3e-9];
        for precision in Precision::ALL {
            assert_eq!(step(&LossScale::new(precision), factors), Ok(Some(factors.to_vec())), "{precision}");
        }
        assert_eq!(LossScale::new(Precision::Bf16).state(), None);
    }

    #[test]
    fn an_overflow_halves_the_scale_and_skips_the_step() {
        let scale = scale();
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e35] {
            let before = scale.state().unwrap();
            assert_eq!(step(&scale, [1.0, bad]), Ok(None), "{bad}");
            assert_eq!(scale.state(), Some(ScaleState { scale: before.scale / 2.0, good_steps: 0 }), "{bad}");
        }
        assert_eq!(step(&scale, [1.0, 2.0]), Ok(Some(vec![1.0, 2.0])));
        assert_eq!(scale.state(), Some(ScaleState { scale: 4096.0, good_steps: 1 }));
    }

    #[test]
    fn an_overflow_on_one_device_is_one_on_all() {
        let (scale, group) = (scale(), ReplicaGroup::new::<Training>(2, BatchStatistics::Whole));
        let taken = |bad: f32| -> Vec<bool> {
            let member = |rank: usize| {
                let (scale, group) = (&scale, &group);
                let factor = if rank == 1 { bad } else { 1.0 };
                move || group.enter(rank, || step(scale, [factor, 1.0])).unwrap().is_some()
            };
            std::thread::scope(|threads| {
                let members = [0, 1].map(|rank| threads.spawn(member(rank)));
                members.into_iter().map(|member| member.join().unwrap()).collect()
            })
        };
        assert_eq!(taken(f32::NAN), [false, false]);
        assert_eq!(scale.state(), Some(ScaleState { scale: FIRST / 2.0, good_steps: 0 }));
        assert_eq!(taken(2.0), [true, true]);
        assert_eq!(scale.state(), Some(ScaleState { scale: FIRST / 2.0, good_steps: 1 }));
    }

    #[test]
    fn a_scale_that_serves_for_long_is_doubled() {
        let mut state = ScaleState { scale: 8.0, good_steps: 0 };
        for _ in 1..PATIENCE {
            state = state.after(true);
        }
        assert_eq!(state, ScaleState { scale: 8.0, good_steps: PATIENCE - 1 });
        assert_eq!(state.after(true), ScaleState { scale: 16.0, good_steps: 0 });
        assert_eq!(state.after(false), ScaleState { scale: 4.0, good_steps: 0 });
    }

    #[test]
    fn gradients_that_are_never_finite_are_a_failure() {
        let scale = scale();
        for _ in 0..16 {
            assert_eq!(step(&scale, [f32::NAN, 0.0]), Ok(None));
        }
        assert_eq!(scale.state().unwrap().scale, LEAST);
        assert!(step(&scale, [f32::NAN, 0.0]).unwrap_err().contains("not finite"));
    }

    #[test]
    fn clones_are_one_and_go_on_where_another_was() {
        let (scale, resumed) = (scale(), self::scale());
        let _ = step(&scale.clone(), [f32::NAN, 0.0]);
        assert_eq!(scale.state().unwrap().scale, FIRST / 2.0);
        let told = serde_json::to_string(&scale.state()).unwrap();
        resumed.resume(serde_json::from_str(&told).unwrap());
        assert_eq!(resumed.state(), scale.state());
        let single = LossScale::new(Precision::F32);
        single.resume(scale.state());
        assert_eq!(single.state(), None);
    }
}

//! Optimizer steps that are taken only if the gradients are finite, as training in f16 needs them.
//!
//! Only the device knows whether they are. A kernel of Adam finds out itself. Without kernels, and for SGD, the device computes the step in any
//! case, and then selects the new or the old weights and moments; on a CPU the step equals that of Burn's Adam, or of [`Sgd`], bit for bit.
//! The number of steps that were taken, on which Adam's bias correction depends, is also known to the device only, which looks the
//! correction up in a table.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::record::AdaptorRecord;
use burn::optim::{AdamState, AdaptiveMomentumState, GradientsParams, LearningRate};
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use burn::tensor::{Bool, Int, Tensor, TensorPrimitive};
#[cfg(feature = "cubecl")]
use qare_cube::Correction;
#[cfg(feature = "cubecl")]
use qare_host::primitive;
use qare_models::computes_on_host;

use super::bias_correction::{BiasCorrection, correction_table};
#[cfg(feature = "cubecl")]
use super::kernel_steps::{KernelSteps, adam, step_in_groups};
use super::optimizer::{BETA_1, BETA_2, Rule, Update, UpdateState};
use super::sgd::{Sgd, SgdState};

/// The state of an optimizer for one parameter, of any rank.
pub(super) type AnyState<B> = AdaptorRecord<Update, B>;

/// The number of steps taken with a parameter, on the device. Parameters with the same history share one number.
#[derive(Clone)]
struct StepCount<B: Backend> {
    /// Tells the numbers of an optimizer apart.
    id: usize,
    /// The number, `[1]`.
    steps: Tensor<B, 1, Int>,
}

/// Where the number of steps before a step comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Before {
    /// The count with this id.
    Counted(usize),
    /// A saved state, or 0 without a state.
    Known(usize),
}

/// The state of an optimizer whose steps are taken only if the gradients are finite.
#[derive(Clone)]
pub(super) struct ConditionalSteps<B: AutodiffBackend> {
    /// States, whose numbers of steps are those before this value was created.
    states: HashMap<ParamId, AnyState<B>>,
    counts: HashMap<ParamId, StepCount<B::InnerBackend>>,
    next_count: usize,
    /// The bias corrections of 0, 1, 2, … steps; the last is that of all greater numbers.
    table: Option<BiasCorrection<B::InnerBackend>>,
}

impl<B: AutodiffBackend> ConditionalSteps<B> {
    /// Continues from these states.
    pub fn after(states: impl IntoIterator<Item = (ParamId, AnyState<B>)>) -> Self {
        Self { states: states.into_iter().collect(), counts: HashMap::new(), next_count: 0, table: None }
    }

    /// Takes a step with these gradients if `finite`, `[1]`, is true, and returns the model. Reads nothing from the device.
    pub fn step<M: Module<B>>(
        &mut self,
        rule: Rule,
        rate: LearningRate,
        model: M,
        gradients: GradientsParams,
        finite: &Tensor<B::InnerBackend, 1, Bool>,
    ) -> M {
        #[cfg(feature = "cubecl")]
        if let Rule::Adam { weight_decay } = rule
            && KernelSteps::<B>::serve(&model)
        {
            return self.step_by_kernels(rate, weight_decay, model, gradients, finite);
        }
        let masks = HashMap::new();
        model.map(&mut Step { optimizer: self, rule, rate, gradients, finite, masks, counted: HashMap::new() })
    }

    /// Takes a step of Adam if `finite`, `[1]`, is true, by kernels.
    #[cfg(feature = "cubecl")]
    fn step_by_kernels<M: Module<B>>(
        &mut self,
        rate: LearningRate,
        weight_decay: f32,
        model: M,
        gradients: GradientsParams,
        finite: &Tensor<B::InnerBackend, 1, Bool>,
    ) -> M {
        let mut states = std::mem::take(&mut self.states);
        let before = self.counts.clone();
        let group = |id, time| before.get(&id).map_or(Before::Known(time), |count| Before::Counted(count.id));
        let taken = primitive(finite.clone().float());
        let call = |group: Before, ids: &[ParamId]| {
            let (count, BiasCorrection { factor, epsilon }) = self.counted(ids[0], group, finite);
            self.counts.extend(ids.iter().map(|id| (*id, count.clone())));
            let condition = vec![taken.clone(), primitive(factor), primitive(epsilon)];
            (adam(rate, weight_decay, Correction::Conditional), condition)
        };
        let model = step_in_groups(&mut states, model, gradients, group, call);
        self.states = states;
        model
    }

    /// Returns the count of a parameter after a step that is taken if `finite`, and the bias correction after it.
    fn counted(
        &mut self,
        id: ParamId,
        before: Before,
        finite: &Tensor<B::InnerBackend, 1, Bool>,
    ) -> (StepCount<B::InnerBackend>, BiasCorrection<B::InnerBackend>) {
        let one_if_taken = finite.clone().int();
        let steps = match (before, self.counts.get(&id)) {
            (Before::Counted(_), Some(count)) => count.steps.clone() + one_if_taken,
            (Before::Known(known), _) => one_if_taken + known as i64,
            (Before::Counted(_), None) => unreachable!("a count is of a parameter that has one"),
        };
        let correction = self.table.get_or_insert_with(|| correction_table(&finite.device())).at(&steps);
        self.next_count += 1;
        (StepCount { id: self.next_count, steps }, correction)
    }

    /// Returns the states of the parameters of `model`. Waits for the device.
    pub fn states<M: Module<B>>(&self, model: &M) -> HashMap<ParamId, AnyState<B>> {
        let mut reader = Reader { optimizer: self, steps: HashMap::new(), states: HashMap::new() };
        model.visit(&mut reader);
        reader.states
    }
}

/// Visitor that reads the states of parameters.
struct Reader<'a, B: AutodiffBackend> {
    optimizer: &'a ConditionalSteps<B>,
    /// Numbers of steps by the ids of the counts.
    steps: HashMap<usize, usize>,
    states: HashMap<ParamId, AnyState<B>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Reader<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(state) = self.optimizer.states.get(&param.id) else { return };
        let mut state = state.clone().into_state::<D>();
        if let (Some(adam), Some(count)) = (&mut state.adam, self.optimizer.counts.get(&param.id)) {
            let read = || count.steps.to_data().iter::<i64>().next().expect("it is one number") as usize;
            adam.momentum.time = *self.steps.entry(count.id).or_insert_with(read);
        }
        self.states.insert(param.id, AdaptorRecord::from_state(state));
    }
}

/// A count, the bias correction after that number of steps, and the same for parameters of each rank.
struct Counted<B: Backend> {
    count: StepCount<B>,
    correction: BiasCorrection<B>,
    /// Factor and epsilon `[1; D]`, by D.
    of_rank: HashMap<usize, [TensorPrimitive<B>; 2]>,
}

/// Mapper that takes a step with each parameter.
struct Step<'a, B: AutodiffBackend> {
    optimizer: &'a mut ConditionalSteps<B>,
    rule: Rule,
    rate: LearningRate,
    gradients: GradientsParams,
    finite: &'a Tensor<B::InnerBackend, 1, Bool>,
    /// `finite` `[1; D]`, by D. Burn fuses the step of a parameter to one kernel if it finds such tensors made.
    masks: HashMap<usize, <B::InnerBackend as BackendTypes>::BoolTensorPrimitive>,
    /// The counts after this step, with the bias corrections, by what was before.
    counted: HashMap<Before, Counted<B::InnerBackend>>,
}

impl<B: AutodiffBackend> Step<'_, B> {
    /// Counts the step of a parameter, and returns factor and epsilon of the bias correction, `[1; D]`.
    fn count<const D: usize>(&mut self, id: ParamId, known: usize) -> [Tensor<B::InnerBackend, D>; 2] {
        let before = self.optimizer.counts.get(&id).map_or(Before::Known(known), |count| Before::Counted(count.id));
        let counted = self.counted.entry(before).or_insert_with(|| {
            let (count, correction) = self.optimizer.counted(id, before, self.finite);
            Counted { count, correction, of_rank: HashMap::new() }
        });
        self.optimizer.counts.insert(id, counted.count.clone());
        let of_rank = counted.of_rank.entry(D).or_insert_with(|| {
            let BiasCorrection { factor, epsilon } = counted.correction.clone();
            [factor, epsilon].map(|number| number.reshape([1; D]).into_primitive())
        });
        of_rank.clone().map(Tensor::from_primitive)
    }

    /// Selects the values after the step if it is taken, else those before it.
    fn selected<const D: usize>(
        &mut self,
        before: Tensor<B::InnerBackend, D>,
        after: Tensor<B::InnerBackend, D>,
    ) -> Tensor<B::InnerBackend, D> {
        let mask = self.masks.entry(D).or_insert_with(|| self.finite.clone().reshape([1; D]).into_primitive());
        let mask = Tensor::<B::InnerBackend, D, Bool>::from_primitive(mask.clone());
        match computes_on_host::<B::InnerBackend>(&mask.device()) {
            // Backends of a CPU need not broadcast masks.
            true => {
                let shape = before.shape();
                before.mask_where(mask.expand(shape), after)
            }
            false => before.mask_where(mask, after),
        }
    }

    /// Adam's step, in the order of operations of Burn's `Adam`.
    fn adam<const D: usize>(
        &mut self,
        id: ParamId,
        weight_decay: f32,
        weights: Tensor<B::InnerBackend, D>,
        gradient: Tensor<B::InnerBackend, D>,
        state: Option<AdamState<B::InnerBackend, D>>,
    ) -> (Tensor<B::InnerBackend, D>, AdamState<B::InnerBackend, D>) {
        let gradient = match weight_decay {
            0.0 => gradient,
            decay => weights.clone().mul_scalar(decay).add(gradient),
        };
        let before = state.map(|state| state.momentum);
        let time = before.as_ref().map_or(0, |before| before.time);
        let (mean, square) = before
            .map_or_else(|| (nothing(&gradient), nothing(&gradient)), |before| (before.moment_1, before.moment_2));
        // Burn 0.21 fuses a selection with what broadcasts it, and then selects other rows. It does not if the numbers are expanded first.
        let shape = weights.shape();
        let [factor, epsilon] =
            self.count(id, time).map(|number| match computes_on_host::<B::InnerBackend>(&weights.device()) {
                true => number,
                false => number.expand(shape.clone()),
            });

        let new_mean = mean.clone().mul_scalar(BETA_1).add(gradient.clone().mul_scalar(1.0 - BETA_1));
        let new_square = square.clone().mul_scalar(BETA_2).add(gradient.square().mul_scalar(1.0 - BETA_2));
        let direction = new_mean.clone().mul(factor).div(new_square.clone().sqrt().add(epsilon));
        let new_weights = weights.clone() - direction.mul_scalar(self.rate);

        let (mean, square) = (self.selected(mean, new_mean), self.selected(square, new_square));
        let state = AdamState::new(AdaptiveMomentumState::new(time, mean, square));
        (self.selected(weights, new_weights), state)
    }

    /// The step of SGD.
    fn sgd<const D: usize>(
        &mut self,
        sgd: Sgd,
        weights: Tensor<B::InnerBackend, D>,
        gradient: Tensor<B::InnerBackend, D>,
        state: Option<SgdState<B::InnerBackend, D>>,
    ) -> (Tensor<B::InnerBackend, D>, SgdState<B::InnerBackend, D>) {
        let velocity = state.and_then(SgdState::into_velocity).unwrap_or_else(|| nothing(&gradient));
        let before = SgdState::of(velocity.clone());
        let (new_weights, after) = sgd.step(self.rate, weights.clone(), gradient, Some(before));
        let velocity = match after.into_velocity() {
            Some(after) => self.selected(velocity, after),
            None => velocity,
        };
        (self.selected(weights, new_weights), SgdState::of(velocity))
    }
}

/// The moment of a parameter without a state. In IEEE arithmetic −0 is the number that changes no other number when it is added to
/// it; +0 makes +0 of −0.
fn nothing<B: Backend, const D: usize>(gradient: &Tensor<B, D>) -> Tensor<B, D> {
    gradient.full_like(-0.0)
}

impl<B: AutodiffBackend> ModuleMapper<B> for Step<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, weights, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return Param::from_mapped_value(id, weights, mapper);
        };
        let is_trained = weights.is_require_grad();
        let weights = weights.inner();
        let state = self.optimizer.states.remove(&id).map(AdaptorRecord::into_state::<D>);
        let (weights, state) = match self.rule {
            Rule::Adam { weight_decay } => {
                let state = state.and_then(|state| state.adam);
                let (weights, adam) = self.adam(id, weight_decay, weights, gradient, state);
                (weights, UpdateState { adam: Some(adam), sgd: None })
            }
            Rule::Sgd { momentum } => {
                let state = state.and_then(|state| state.sgd);
                let (weights, sgd) = self.sgd(Sgd { momentum }, weights, gradient, state);
                (weights, UpdateState { adam: None, sgd: Some(sgd) })
            }
        };
        self.optimizer.states.insert(id, AdaptorRecord::from_state(state));
        let weights = Tensor::from_inner(weights);
        let weights = if is_trained { weights.require_grad() } else { weights };
        Param::from_mapped_value(id, weights, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Distribution;
    use qare_data::{Draw, Purpose};

    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, Training, any_device};
    use crate::training::optimizer::{ModelOptimizer, with_stable_ids};

    /// Three parameters, of which the last gets gradients in some steps only.
    #[derive(Module, Debug)]
    struct Model<B: Backend> {
        matrix: Param<Tensor<B, 2>>,
        vector: Param<Tensor<B, 1>>,
        rare: Param<Tensor<B, 1>>,
    }

    type Optimizer = ModelOptimizer<Model<Training>, Training>;

    const RULES: [Rule; 3] = [Rule::ADAM, Rule::Adam { weight_decay: 0.01 }, Rule::Sgd { momentum: 0.9 }];

    fn model() -> Model<Training> {
        let normal = Distribution::Normal(0.0, 1.0);
        let matrix = Param::from_tensor(Tensor::random([4, 3], normal, &any_device()));
        let vector = Param::from_tensor(Tensor::from_floats([1.0, 0.0, -0.0, 1e-40], &any_device()));
        let rare = Param::from_tensor(Tensor::random([2], normal, &any_device()));
        with_stable_ids(Model { matrix, vector, rare })
    }

    /// Gradients with zeros of both signs. Those of a bad step hold a number that is not finite.
    fn gradients(model: &Model<Training>, step: u64, bad: Option<f32>) -> GradientsParams {
        let mut draw = Draw::new(3, Purpose::HeldOut, 0, step, 0);
        let mut numbers = |len: usize| (0..len).map(|_| draw.uniform(-1.0, 1.0) as f32).collect::<Vec<f32>>();
        let (matrix, mut vector, rare) = (numbers(12), numbers(4), numbers(2));
        (vector[1], vector[2]) = (0.0, -0.0);
        vector[3] = bad.unwrap_or(vector[3]);
        let tensor = |numbers: &[f32]| Tensor::<Plain, 1>::from_floats(numbers, &any_device());
        let mut gradients = GradientsParams::new();
        gradients.register(model.matrix.id, tensor(&matrix).reshape([4, 3]));
        gradients.register(model.vector.id, tensor(&vector));
        if step.is_multiple_of(3) {
            gradients.register(model.rare.id, tensor(&rare));
        }
        gradients
    }

    fn flag(finite: bool) -> Tensor<Plain, 1, Bool> {
        Tensor::from_data([finite], &any_device())
    }

    /// The bits of all weights.
    fn bits(model: &Model<Training>) -> Vec<u32> {
        let all = [values(model.matrix.val()), values(model.vector.val()), values(model.rare.val())];
        all.concat().into_iter().map(f32::to_bits).collect()
    }

    /// Which steps are skipped, and the number that makes them bad.
    fn bad(step: u64) -> Option<f32> {
        let mut draw = Draw::new(5, Purpose::HeldOut, 0, step, 0);
        let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        // The third step is the first good one, so the moments of the first two are skipped, too.
        (step < 2 || (step > 2 && draw.chance(0.4))).then(|| numbers[draw.below(3)])
    }

    /// With skipped steps, weights and files are those of an optimizer that never saw these steps: of Burn's Adam, and of SGD. The same
    /// holds after the state has been saved and loaded.
    #[test]
    fn taken_steps_equal_unconditional_ones_bit_for_bit_and_skipped_ones_change_nothing() {
        for rule in RULES {
            let start = model();
            let (mut expected, mut of_expected) = (start.clone(), Optimizer::new(rule));
            let (mut found, mut of_found) = (start, Optimizer::new(rule));
            for step in 0..60u64 {
                let (bad, rate) = (bad(step), 0.1 / (step + 1) as f64);
                let before = bits(&found);
                let bytes = (step > 2).then(|| of_found.to_bytes(&found));
                found = of_found.step_if(&flag(bad.is_none()), rate, found.clone(), gradients(&found, step, bad));
                if bad.is_some() {
                    assert_eq!(bits(&found), before, "{rule:?}, step {step}");
                    assert!(bytes.is_none_or(|bytes| bytes == of_found.to_bytes(&found) || step.is_multiple_of(3)));
                } else {
                    let gradients = gradients(&expected, step, None);
                    expected = of_expected.step(rate, expected, gradients);
                    assert_eq!(bits(&found), bits(&expected), "{rule:?}, step {step}");
                }
                if step == 30 {
                    let bytes = of_found.to_bytes(&found);
                    of_found = Optimizer::new(rule).with_bytes(&bytes, &found, &any_device()).unwrap();
                    assert_eq!(of_found.to_bytes(&found), bytes, "{rule:?}");
                }
            }
            assert_eq!(of_found.to_bytes(&found), of_expected.to_bytes(&expected), "{rule:?}");
        }
    }

    /// Conditional and other steps alternate on one optimizer.
    #[test]
    fn steps_without_a_condition_continue_from_conditional_ones() {
        for rule in RULES {
            let start = model();
            let (mut expected, mut of_expected) = (start.clone(), Optimizer::new(rule));
            let (mut found, mut of_found) = (start, Optimizer::new(rule));
            for step in 0..12u64 {
                expected = of_expected.step(0.1, expected.clone(), gradients(&expected, step, None));
                let own = gradients(&found, step, None);
                found = match step / 3 % 2 {
                    0 => of_found.step(0.1, found, own),
                    _ => of_found.step_if(&flag(true), 0.1, found, own),
                };
                assert_eq!(bits(&found), bits(&expected), "{rule:?}, step {step}");
            }
            assert_eq!(of_found.to_bytes(&found), of_expected.to_bytes(&expected), "{rule:?}");
        }
    }

    /// Until a step is taken there is nothing to correct: a state of no steps loads and continues as none.
    #[test]
    fn a_state_of_no_steps_is_no_state() {
        for rule in RULES {
            let start = model();
            let mut skipped = Optimizer::new(rule);
            let after = skipped.step_if(&flag(false), 0.1, start.clone(), gradients(&start, 0, Some(f32::NAN)));
            assert_eq!(bits(&after), bits(&start));
            let bytes = skipped.to_bytes(&after);
            let mut loaded = Optimizer::new(rule).with_bytes(&bytes, &after, &any_device()).unwrap();
            let mut fresh = Optimizer::new(rule);
            let found = loaded.step(0.1, after.clone(), gradients(&start, 0, None));
            let expected = fresh.step(0.1, start.clone(), gradients(&start, 0, None));
            assert_eq!(bits(&found), bits(&expected), "{rule:?}");
            assert_eq!(loaded.to_bytes(&found), fresh.to_bytes(&expected), "{rule:?}");
        }
    }

    /// Parameters with the same history share one number of steps, also after the state was loaded.
    #[test]
    fn parameters_share_their_numbers_of_steps() {
        let start = model();
        let mut conditional = ConditionalSteps::<Training>::after([]);
        let counts = |conditional: &ConditionalSteps<Training>, model: &Model<Training>| {
            [model.matrix.id, model.vector.id, model.rare.id]
                .map(|id| conditional.counts.get(&id).map(|count| count.id))
        };
        let mut trained = start;
        for step in 0..4 {
            let gradients = gradients(&trained, step, None);
            trained = conditional.step(Rule::ADAM, 0.1, trained, gradients, &flag(step != 1));
            let [matrix, vector, rare] = counts(&conditional, &trained);
            assert!(matrix.is_some() && matrix == vector);
            assert_eq!(rare == matrix, step == 0, "{step}");
        }
        let states = conditional.states(&trained);
        let mut loaded = ConditionalSteps::<Training>::after(states);
        let gradients = gradients(&trained, 6, None);
        let trained = loaded.step(Rule::ADAM, 0.1, trained, gradients, &flag(true));
        let [matrix, vector, rare] = counts(&loaded, &trained);
        assert!(matrix == vector && rare != matrix && rare.is_some());
        let steps = |id: ParamId| loaded.counts[&id].steps.to_data().iter::<i64>().next();
        // Steps 0, 2, 3 and 6 of the matrix; 0, 3 and 6 of the parameter with rare gradients.
        assert_eq!([trained.matrix.id, trained.rare.id].map(steps), [Some(4), Some(3)]);
    }
}

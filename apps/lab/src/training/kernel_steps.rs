//! Steps of Adam on GPU backends with kernels: one kernel for many parameters, where Burn's Adam has one for each, or for a few of them.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::record::AdaptorRecord;
use burn::optim::{AdamState, AdaptiveMomentumState, GradientsParams, LearningRate};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, FloatDType, Tensor};
use qare_cube::{Adam, Call, Correction, is_registered, run_if_registered};
use qare_host::{FloatPrimitive, primitive, tensor};

use super::bias_correction::correction;
use super::conditional_steps::AnyState;
use super::optimizer::{BETA_1, BETA_2, UpdateState};

/// The state of Adam whose steps are taken by kernels.
#[derive(Clone)]
pub(super) struct KernelSteps<B: AutodiffBackend> {
    states: HashMap<ParamId, AnyState<B>>,
}

impl<B: AutodiffBackend> KernelSteps<B> {
    /// Whether the backend has kernels, and all parameters of the model are of f32, as the kernels need them.
    pub fn serve<M: Module<B>>(model: &M) -> bool {
        struct AllSingle(bool);
        impl<B: AutodiffBackend> ModuleVisitor<B> for AllSingle {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
                self.0 &= param.dtype() == DType::F32;
            }
        }
        let mut all = AllSingle(is_registered::<B::InnerBackend>());
        model.visit(&mut all);
        all.0
    }

    /// Continues from these states.
    pub fn after(states: impl IntoIterator<Item = (ParamId, AnyState<B>)>) -> Self {
        Self { states: states.into_iter().collect() }
    }

    /// Returns the states of all parameters.
    pub fn states(&self) -> HashMap<ParamId, AnyState<B>> {
        self.states.clone()
    }

    /// Takes a step with these gradients, and returns the model.
    pub fn step<M: Module<B>>(
        &mut self,
        rate: LearningRate,
        weight_decay: f32,
        model: M,
        gradients: GradientsParams,
    ) -> M {
        let call = |time: usize, _: &[ParamId]| {
            let (factor, epsilon) = correction(time as i32 + 1);
            (adam(rate, weight_decay, Correction::Known { factor, epsilon }), Vec::new())
        };
        step_in_groups(&mut self.states, model, gradients, |_, time| time, call)
    }
}

/// The call of a step.
pub(super) fn adam(rate: LearningRate, weight_decay: f32, correction: Correction) -> Adam {
    Adam { rate, beta_1: BETA_1, beta_2: BETA_2, weight_decay, correction }
}

/// Takes a step of Adam with these gradients, and returns the model. `group` tells from a parameter and the number of steps in its state which
/// group it belongs to; `call` returns the call for a group, and the inputs that follow its tensors. Conditional steps leave the numbers
/// of steps in the states as they are.
pub(super) fn step_in_groups<B: AutodiffBackend, M: Module<B>, G: Copy + Ord>(
    states: &mut HashMap<ParamId, AnyState<B>>,
    model: M,
    gradients: GradientsParams,
    group: impl Fn(ParamId, usize) -> G,
    mut call: impl FnMut(G, &[ParamId]) -> (Adam, Vec<Inner<B>>),
) -> M {
    let mut gathered = Gathered { states, gradients, group, groups: BTreeMap::new() };
    model.visit(&mut gathered);
    let mut stepped = HashMap::new();
    for (group, Tensors { ids, times, mut inputs }) in gathered.groups {
        let (call, more) = call(group, &ids);
        inputs.extend(more);
        let outputs = run_if_registered::<B::InnerBackend>(Call::Adam(call), inputs);
        let mut outputs = outputs.expect("the backend has kernels").into_iter();
        let counted = usize::from(call.correction != Correction::Conditional);
        for (id, time) in ids.into_iter().zip(times) {
            let after = [(); 3].map(|()| outputs.next().expect("there are three outputs of each tensor"));
            stepped.insert(id, (time + counted, after));
        }
    }
    model.map(&mut Scattered { states, stepped })
}

/// The primitives of a backend's gradients and states.
pub(super) type Inner<B> = FloatPrimitive<<B as AutodiffBackend>::InnerBackend>;

/// Parameters that take a step together, since they have one bias correction.
struct Tensors<B: AutodiffBackend> {
    ids: Vec<ParamId>,
    /// The numbers of steps in the states.
    times: Vec<usize>,
    /// Weights, gradient and both moments of each.
    inputs: Vec<Inner<B>>,
}

/// Visitor that takes gradients and states of parameters.
struct Gathered<'a, B: AutodiffBackend, G, F> {
    states: &'a mut HashMap<ParamId, AnyState<B>>,
    gradients: GradientsParams,
    group: F,
    groups: BTreeMap<G, Tensors<B>>,
}

impl<B: AutodiffBackend, G: Ord, F: Fn(ParamId, usize) -> G> ModuleVisitor<B> for Gathered<'_, B, G, F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else { return };
        let state = self.states.remove(&param.id).and_then(|state| state.into_state::<D>().adam);
        let (time, mean, square) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, gradient.zeros_like(), gradient.zeros_like()),
        };
        let single = |tensor: Tensor<B::InnerBackend, D>| match tensor.dtype() {
            DType::F32 => tensor,
            _ => tensor.cast(FloatDType::F32),
        };
        let group = (self.group)(param.id, time);
        let empty = || Tensors { ids: Vec::new(), times: Vec::new(), inputs: Vec::new() };
        let tensors = self.groups.entry(group).or_insert_with(empty);
        tensors.ids.push(param.id);
        tensors.times.push(time);
        tensors.inputs.extend([param.val().inner(), gradient, mean, square].map(single).map(primitive));
    }
}

/// Mapper that gives parameters their new weights, and keeps their new states.
struct Scattered<'a, B: AutodiffBackend> {
    states: &'a mut HashMap<ParamId, AnyState<B>>,
    /// The number of steps in the new state; weights and both moments.
    stepped: HashMap<ParamId, (usize, [Inner<B>; 3])>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Scattered<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, before, mapper) = param.consume();
        let Some((time, after)) = self.stepped.remove(&id) else {
            return Param::from_mapped_value(id, before, mapper);
        };
        let [weights, mean, square] = after.map(tensor::<B::InnerBackend, D>);
        let adam = AdamState::new(AdaptiveMomentumState::new(time, mean, square));
        self.states.insert(id, AdaptorRecord::from_state(UpdateState { adam: Some(adam), sgd: None }));
        let weights = Tensor::from_inner(weights);
        let weights = if before.is_require_grad() { weights.require_grad() } else { weights };
        Param::from_mapped_value(id, weights, mapper)
    }
}

//! Steps of Adam on GPU backends with kernels: a few kernels for all parameters, where Burn's Adam has at least one for each.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::record::AdaptorRecord;
use burn::optim::{AdamState, AdaptiveMomentumState, GradientsParams, LearningRate};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use qare_cube::{Adam, Call, is_registered, run_if_registered};
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
        let mut gathered = Gathered::<B> { states: &mut self.states, gradients, by_steps: BTreeMap::new() };
        model.visit(&mut gathered);
        let mut stepped = HashMap::new();
        for (steps, Tensors { ids, inputs }) in gathered.by_steps {
            let (factor, epsilon) = correction(steps as i32);
            let call = Adam { rate, beta_1: BETA_1, beta_2: BETA_2, factor, epsilon, weight_decay };
            let outputs = run_if_registered::<B::InnerBackend>(Call::Adam(call), inputs);
            let mut outputs = outputs.expect("the backend has kernels").into_iter();
            for id in ids {
                let after = [(); 3].map(|()| outputs.next().expect("there are three outputs of each tensor"));
                stepped.insert(id, (steps, after));
            }
        }
        model.map(&mut Scattered { states: &mut self.states, stepped })
    }
}

/// The primitives of a backend's gradients and states.
type Inner<B> = FloatPrimitive<<B as AutodiffBackend>::InnerBackend>;

/// Parameters that have taken the same number of steps, and so have one bias correction.
struct Tensors<B: AutodiffBackend> {
    ids: Vec<ParamId>,
    /// Weights, gradient and both moments of each.
    inputs: Vec<Inner<B>>,
}

/// Visitor that takes gradients and states of parameters.
struct Gathered<'a, B: AutodiffBackend> {
    states: &'a mut HashMap<ParamId, AnyState<B>>,
    gradients: GradientsParams,
    /// By the number of steps after this one.
    by_steps: BTreeMap<usize, Tensors<B>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gathered<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else { return };
        let state = self.states.remove(&param.id).and_then(|state| state.into_state::<D>().adam);
        let (steps, mean, square) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, gradient.zeros_like(), gradient.zeros_like()),
        };
        let tensors = self.by_steps.entry(steps + 1).or_insert_with(|| Tensors { ids: Vec::new(), inputs: Vec::new() });
        tensors.ids.push(param.id);
        tensors.inputs.extend([param.val().inner(), gradient, mean, square].map(primitive));
    }
}

/// Mapper that gives parameters their new weights, and keeps their new states.
struct Scattered<'a, B: AutodiffBackend> {
    states: &'a mut HashMap<ParamId, AnyState<B>>,
    /// The number of steps; weights and both moments.
    stepped: HashMap<ParamId, (usize, [Inner<B>; 3])>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Scattered<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, before, mapper) = param.consume();
        let Some((steps, after)) = self.stepped.remove(&id) else {
            return Param::from_mapped_value(id, before, mapper);
        };
        let [weights, mean, square] = after.map(tensor::<B::InnerBackend, D>);
        let adam = AdamState::new(AdaptiveMomentumState::new(steps, mean, square));
        self.states.insert(id, AdaptorRecord::from_state(UpdateState { adam: Some(adam), sgd: None }));
        let weights = Tensor::from_inner(weights);
        let weights = if before.is_require_grad() { weights.require_grad() } else { weights };
        Param::from_mapped_value(id, weights, mapper)
    }
}

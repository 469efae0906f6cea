//! Adam and SGD with the settings of the reference, and saving and loading of their state.

use std::collections::BTreeMap;

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, AdamState, GradientsParams, LearningRate, Optimizer, SimpleOptimizer};
use burn::record::{BurnRecord, FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Device, Tensor};

use super::adam_update::AdamUpdate;
use super::conditional_steps::ConditionalSteps;
#[cfg(feature = "cubecl")]
use super::kernel_steps::KernelSteps;
use super::sgd::{Sgd, SgdState};

/// Adam's β₁, the decay of the mean gradient. This and the next two constants are PyTorch's defaults, which differ from Burn's.
pub(super) const BETA_1: f32 = 0.9;
/// Adam's β₂, the decay of the mean squared gradient.
pub(super) const BETA_2: f32 = 0.999;
/// Adam's ε, added to the root of the mean squared gradient.
pub(super) const EPSILON: f32 = 1e-8;

/// Returns Adam with PyTorch's constants.
pub fn adam() -> AdamConfig {
    AdamConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON)
}

/// The update rule of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam with PyTorch's constants. Weight decay is L2 regularisation, g ← g + weight_decay·w, as in PyTorch's Adam.
    Adam {
        /// The factor of the weights; 0 for no weight decay.
        weight_decay: f32,
    },
    /// SGD: v ← momentum·v + g, w ← w − rate·v.
    Sgd {
        /// The factor of v.
        momentum: f64,
    },
}

impl Rule {
    /// Adam without weight decay.
    pub const ADAM: Self = Self::Adam { weight_decay: 0.0 };

    fn name(self) -> &'static str {
        match self {
            Rule::Adam { .. } => "adam",
            Rule::Sgd { .. } => "sgd",
        }
    }
}

/// The optimizer that implements a [`Rule`].
#[derive(Clone)]
pub enum Update {
    /// Adam.
    Adam(AdamUpdate),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

/// The state of an [`Update`] for one parameter. One of the two fields is set.
#[derive(Record, Clone)]
pub struct UpdateState<B: Backend, const D: usize> {
    pub(super) adam: Option<AdamState<B, D>>,
    pub(super) sgd: Option<SgdState<B, D>>,
}

impl<B: Backend> SimpleOptimizer<B> for Update {
    type State<const D: usize> = UpdateState<B, D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<UpdateState<B, D>>,
    ) -> (Tensor<B, D>, Option<UpdateState<B, D>>) {
        match self {
            Update::Adam(adam) => {
                let (tensor, adam) = adam.step(rate, tensor, gradient, state.and_then(|state| state.adam));
                (tensor, Some(UpdateState { adam: Some(adam), sgd: None }))
            }
            Update::Sgd(sgd) => {
                let (tensor, sgd) = sgd.step(rate, tensor, gradient, state.and_then(|state| state.sgd));
                (tensor, Some(UpdateState { adam: None, sgd: Some(sgd) }))
            }
        }
    }

    fn to_device<const D: usize>(state: UpdateState<B, D>, device: &Device<B>) -> UpdateState<B, D> {
        UpdateState {
            adam: state.adam.map(|state| <Adam as SimpleOptimizer<B>>::to_device(state, device)),
            sgd: state.sgd.map(|state| state.to_device(device)),
        }
    }
}

/// An [`Update`] as an optimizer of a module.
pub type Adaptor<M, B> = OptimizerAdaptor<Update, M, B>;
/// The states of the parameters of a module.
type States<M, B> = <Adaptor<M, B> as Optimizer<M, B>>::Record;

/// The optimizer of a model.
#[derive(Clone)]
pub struct ModelOptimizer<M: AutodiffModule<B>, B: AutodiffBackend> {
    rule: Rule,
    optimizer: Adaptor<M, B>,
    /// The state after conditional steps. The state of `optimizer` is then not used.
    conditional: Option<ConditionalSteps<B>>,
    /// The state after steps by kernels. The state of `optimizer` is then not used.
    #[cfg(feature = "cubecl")]
    kernels: Option<KernelSteps<B>>,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> ModelOptimizer<M, B> {
    /// Creates an optimizer without state.
    pub fn new(rule: Rule) -> Self {
        let update = match rule {
            Rule::Adam { weight_decay } => Update::Adam(AdamUpdate::new(weight_decay)),
            Rule::Sgd { momentum } => Update::Sgd(Sgd { momentum }),
        };
        Self {
            rule,
            optimizer: OptimizerAdaptor::from(update),
            conditional: None,
            #[cfg(feature = "cubecl")]
            kernels: None,
        }
    }

    /// Returns the optimizer in the form that Burn's Learner takes.
    pub(crate) fn adaptor(&self) -> Adaptor<M, B> {
        self.optimizer.clone()
    }

    /// Takes a step with these gradients and returns the model.
    pub fn step(&mut self, rate: LearningRate, model: M, gradients: GradientsParams) -> M {
        #[cfg(feature = "cubecl")]
        if let Rule::Adam { weight_decay } = self.rule
            && KernelSteps::serve(&model)
        {
            if self.kernels.is_none() {
                self.kernels = Some(KernelSteps::after(self.take_states(&model)));
            }
            let kernels = self.kernels.as_mut().expect("there are states");
            return kernels.step(rate, weight_decay, model, gradients);
        }
        let elsewhere = self.conditional.is_some();
        #[cfg(feature = "cubecl")]
        let elsewhere = elsewhere || self.kernels.is_some();
        if elsewhere {
            let states = self.take_states(&model);
            self.optimizer = self.optimizer.clone().load_record(states);
        }
        self.optimizer.step(rate, model, gradients)
    }

    /// Takes a step with these gradients if `finite`, `[1]`, is true, and returns the model. Otherwise nothing changes, bit for bit.
    /// Reads nothing from the device.
    pub fn step_if(
        &mut self,
        finite: &Tensor<B::InnerBackend, 1, Bool>,
        rate: LearningRate,
        model: M,
        gradients: GradientsParams,
    ) -> M {
        if self.conditional.is_none() {
            self.conditional = Some(ConditionalSteps::after(self.take_states(&model)));
        }
        let conditional = self.conditional.as_mut().expect("there are states");
        conditional.step(self.rule, rate, model, gradients, finite)
    }

    /// Returns the states of the parameters of `model`. Waits for the device after conditional steps.
    fn states(&self, model: &M) -> States<M, B> {
        #[cfg(feature = "cubecl")]
        if let Some(kernels) = &self.kernels {
            return kernels.states().into_iter().collect();
        }
        match &self.conditional {
            Some(conditional) => conditional.states(model).into_iter().collect(),
            None => self.optimizer.to_record(),
        }
    }

    /// Returns the states of the parameters of `model`, and leaves none. Waits for the device after conditional steps.
    fn take_states(&mut self, model: &M) -> States<M, B> {
        let states = self.states(model);
        *self = Self::new(self.rule);
        states
    }

    /// Serialises the state for every parameter of `model` in full precision.
    pub fn to_bytes(&self, model: &M) -> Vec<u8> {
        let states = self.states(model).into_item::<FullPrecisionSettings>();
        // The order of a hash map differs between processes. Sorting makes the bytes of equal states equal.
        let in_order: BTreeMap<_, _> = states.into_iter().collect();
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record = BurnRecord::new::<NamedMpkBytesRecorder<FullPrecisionSettings>>(in_order);
        let state =
            Recorder::<B>::save_item::<BurnRecord<_, B>>(&recorder, record, ()).expect("bytes are written to memory");
        let mut bytes = header(self.rule, model, &state).into_bytes();
        bytes.extend(state);
        bytes
    }

    /// Loads a state written by [`ModelOptimizer::to_bytes`].
    ///
    /// # Errors
    /// If the state is damaged, or is of another rule or model.
    pub fn with_bytes(self, bytes: &[u8], model: &M, device: &B::Device) -> Result<Self, String> {
        let start = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (found, state) = bytes.split_at(start);
        if found != header(self.rule, model, state).as_bytes() {
            return Err("it is not a state of this optimizer for this network, or its checksum is wrong".into());
        }
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record: States<M, B> = recorder.load(state.to_vec(), device).map_err(|error| error.to_string())?;
        let fresh = Self::new(self.rule);
        Ok(Self { optimizer: fresh.optimizer.clone().load_record(record), ..fresh })
    }
}

/// Removes the gradients of a part of a model from `all` and returns them.
pub fn take_gradients<B: AutodiffBackend, M: Module<B>>(part: &M, all: &mut GradientsParams) -> GradientsParams {
    take_gradients_where::<B, M>(part, |_| true, all)
}

/// Removes the gradients of those parameters of a part of a model that `is_wanted` names from `all` and returns them.
pub fn take_gradients_where<B: AutodiffBackend, M: Module<B>>(
    part: &M,
    is_wanted: impl Fn(ParamId) -> bool,
    all: &mut GradientsParams,
) -> GradientsParams {
    struct Collector<'a, F> {
        is_wanted: F,
        all: &'a mut GradientsParams,
        collected: GradientsParams,
    }
    impl<B: AutodiffBackend, F: Fn(ParamId) -> bool> ModuleVisitor<B> for Collector<'_, F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if !(self.is_wanted)(param.id) {
                return;
            }
            if let Some(gradient) = self.all.remove::<B::InnerBackend, D>(param.id) {
                self.collected.register(param.id, gradient);
            }
        }
    }
    let mut collector = Collector { is_wanted, all, collected: GradientsParams::new() };
    part.visit(&mut collector);
    collector.collected
}

/// Returns the first line of a saved state: the rule, a checksum of the state, and the shapes of the parameters.
fn header<B: Backend, M: Module<B>>(rule: Rule, model: &M, state: &[u8]) -> String {
    struct Shapes(String);
    impl<B: Backend> ModuleVisitor<B> for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0 += &format!(" {:?}", param.dims()).replace(", ", "x");
        }
    }
    let mut shapes = Shapes(String::new());
    model.visit(&mut shapes);
    format!("{} {:08x}{}\n", rule.name(), crc32fast::hash(state), shapes.0)
}

/// Replaces the random ids of parameters by their numbers in the order of the module.
///
/// The state of an optimizer is keyed by parameter id, so a resumed process needs the same ids.
pub fn with_stable_ids<B: Backend, M: Module<B>>(module: M) -> M {
    module.map(&mut Numbering { next: 1 })
}

struct Numbering {
    next: u64,
}

impl<B: Backend> ModuleMapper<B> for Numbering {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (_, tensor, mapper) = param.consume();
        let id = ParamId::from(self.next);
        self.next += 1;
        Param::from_mapped_value(id, tensor, mapper)
    }
}

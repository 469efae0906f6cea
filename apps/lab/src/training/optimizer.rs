//! Adam and SGD with the settings of the reference, and saving and loading of their state.

use std::collections::BTreeMap;

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    Adam, AdamConfig, AdamState, GradientsParams, LearningRate, Optimizer, Sgd, SgdConfig, SgdState, SimpleOptimizer,
};
use burn::record::{BurnRecord, FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Device, Tensor};

/// Adam's β₁, the decay of the mean gradient. This and the next two constants are PyTorch's defaults, which differ from Burn's.
const BETA_1: f32 = 0.9;
/// Adam's β₂, the decay of the mean squared gradient.
const BETA_2: f32 = 0.999;
/// Adam's ε, added to the root of the mean squared gradient.
const EPSILON: f32 = 1e-8;

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

/// The optimizer of Burn that implements a [`Rule`].
#[derive(Clone)]
pub enum Update<B: Backend> {
    /// Adam.
    Adam(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd<B>),
}

/// The state of an [`Update`] for one parameter. One of the two fields is set.
#[derive(Record, Clone)]
pub struct UpdateState<B: Backend, const D: usize> {
    adam: Option<AdamState<B, D>>,
    sgd: Option<SgdState<B, D>>,
}

impl<B: Backend> SimpleOptimizer<B> for Update<B> {
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
                (tensor, Some(UpdateState { adam, sgd: None }))
            }
            Update::Sgd(sgd) => {
                let (tensor, sgd) = sgd.step(rate, tensor, gradient, state.and_then(|state| state.sgd));
                (tensor, Some(UpdateState { adam: None, sgd }))
            }
        }
    }

    fn to_device<const D: usize>(state: UpdateState<B, D>, device: &Device<B>) -> UpdateState<B, D> {
        UpdateState {
            adam: state.adam.map(|state| <Adam as SimpleOptimizer<B>>::to_device(state, device)),
            sgd: state.sgd.map(|state| <Sgd<B> as SimpleOptimizer<B>>::to_device(state, device)),
        }
    }
}

/// An [`Update`] as an optimizer of a module.
pub type Adaptor<M, B> = OptimizerAdaptor<Update<<B as AutodiffBackend>::InnerBackend>, M, B>;

/// The optimizer of a model.
#[derive(Clone)]
pub struct ModelOptimizer<M: AutodiffModule<B>, B: AutodiffBackend> {
    rule: Rule,
    optimizer: Adaptor<M, B>,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> ModelOptimizer<M, B> {
    /// Creates an optimizer without state.
    pub fn new(rule: Rule) -> Self {
        let update = match rule {
            Rule::Adam { weight_decay } => {
                let decay = (weight_decay != 0.0).then(|| WeightDecayConfig::new(weight_decay));
                Update::Adam(adam().with_weight_decay(decay).build())
            }
            Rule::Sgd { momentum } => {
                // PyTorch's default is no dampening; Burn's is not.
                let momentum = MomentumConfig::new().with_momentum(momentum).with_dampening(0.0);
                Update::Sgd(SgdConfig::new().with_momentum(Some(momentum)).build())
            }
        };
        Self { rule, optimizer: OptimizerAdaptor::from(update) }
    }

    /// Returns the optimizer in the form that Burn's Learner takes.
    pub(crate) fn adaptor(&self) -> Adaptor<M, B> {
        self.optimizer.clone()
    }

    /// Takes a step with these gradients and returns the model.
    pub fn step(&mut self, rate: LearningRate, model: M, gradients: GradientsParams) -> M {
        self.optimizer.step(rate, model, gradients)
    }

    /// Serialises the state for every parameter of `model` in full precision.
    pub fn to_bytes(&self, model: &M) -> Vec<u8> {
        let states = self.optimizer.to_record().into_item::<FullPrecisionSettings>();
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
        let record: <Adaptor<M, B> as Optimizer<M, B>>::Record =
            recorder.load(state.to_vec(), device).map_err(|error| error.to_string())?;
        Ok(Self { optimizer: self.optimizer.load_record(record), ..self })
    }
}

/// Removes the gradients of a part of a model from `all` and returns them.
pub fn take_gradients<B: AutodiffBackend, M: Module<B>>(part: &M, all: &mut GradientsParams) -> GradientsParams {
    struct Collector<'a> {
        all: &'a mut GradientsParams,
        collected: GradientsParams,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Collector<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.all.remove::<B::InnerBackend, D>(param.id) {
                self.collected.register(param.id, gradient);
            }
        }
    }
    let mut collector = Collector { all, collected: GradientsParams::new() };
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

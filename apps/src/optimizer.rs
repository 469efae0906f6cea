//! Adam and SGD as the reference sets them, with a state that can be saved from outside the Learner and found again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    Adam, AdamConfig, AdamState, GradientsParams, LearningRate, MultiGradientsParams, Optimizer, Sgd, SgdConfig,
    SgdState, SimpleOptimizer,
};
use burn::record::{BurnRecord, FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Device, Tensor};

/// What Adam forgets of its means of gradients and of their squares, and its ε: PyTorch's, which is not Burn's.
pub const BETA_1: f32 = 0.9;
pub const BETA_2: f32 = 0.999;
pub const EPSILON: f32 = 1e-8;

/// Adam with PyTorch's constants.
pub fn adam() -> AdamConfig {
    AdamConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON)
}

/// Adam with weight decay as PyTorch's Adam has it: added to the gradient.
pub fn decaying_adam(weight_decay: f32) -> AdamConfig {
    adam().with_weight_decay(Some(WeightDecayConfig::new(weight_decay)))
}

/// How weights follow from gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Adam,
    /// v ← momentum·v + g, w ← w − rate·v.
    Sgd {
        momentum: f64,
    },
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Rule::Adam => "adam",
            Rule::Sgd { .. } => "sgd",
        }
    }
}

/// A [`Rule`] at work.
#[derive(Clone)]
pub enum Update<B: Backend> {
    Adam(Adam),
    Sgd(Sgd<B>),
}

/// What an [`Update`] remembers of a parameter: the state of one of the two.
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

type Adaptor<M, B> = OptimizerAdaptor<Update<<B as AutodiffBackend>::InnerBackend>, M, B>;

/// An optimizer whose clones are one. The Learner keeps its optimizer to itself; a clone of this one can save the state.
#[derive(Clone)]
pub struct SharedOptimizer<M: AutodiffModule<B>, B: AutodiffBackend> {
    rule: Rule,
    optimizer: Arc<Mutex<Adaptor<M, B>>>,
}

type SharedRecord<M, B> = <Adaptor<M, B> as Optimizer<M, B>>::Record;

impl<M: AutodiffModule<B>, B: AutodiffBackend> SharedOptimizer<M, B> {
    pub fn new(rule: Rule) -> Self {
        let update = match rule {
            Rule::Adam => Update::Adam(adam().build()),
            Rule::Sgd { momentum } => {
                // PyTorch has no dampening, Burn would have.
                let momentum = MomentumConfig::new().with_momentum(momentum).with_dampening(0.0);
                Update::Sgd(SgdConfig::new().with_momentum(Some(momentum)).build())
            }
        };
        Self { rule, optimizer: Arc::new(Mutex::new(OptimizerAdaptor::from(update))) }
    }

    /// The state, exactly: what it remembers of every parameter of `model`.
    pub fn to_bytes(&self, model: &M) -> Vec<u8> {
        let states = self.lock().to_record().into_item::<FullPrecisionSettings>();
        // A hash map has another order in each process: the same state would be other bytes.
        let in_order: BTreeMap<_, _> = states.into_iter().collect();
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record = BurnRecord::new::<NamedMpkBytesRecorder<FullPrecisionSettings>>(in_order);
        let state =
            Recorder::<B>::save_item::<BurnRecord<_, B>>(&recorder, record, ()).expect("bytes are written to memory");
        let mut bytes = header(self.rule, model, &state).into_bytes();
        bytes.extend(state);
        bytes
    }

    /// Takes over a state of [`SharedOptimizer::to_bytes`], if it is whole and of a model like this one.
    pub fn load_bytes(&self, bytes: &[u8], model: &M, device: &B::Device) -> Result<(), String> {
        let start = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (found, state) = bytes.split_at(start);
        if found != header(self.rule, model, state).as_bytes() {
            return Err("it is no state of this optimizer for this network, or its checksum is wrong".into());
        }
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record: SharedRecord<M, B> = recorder.load(state.to_vec(), device).map_err(|error| error.to_string())?;
        let mut optimizer = self.lock();
        *optimizer = optimizer.clone().load_record(record);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Adaptor<M, B>> {
        self.optimizer.lock().expect("no step panicked")
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for SharedOptimizer<M, B> {
    type Record = SharedRecord<M, B>;

    fn step(&mut self, lr: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.lock().step(lr, module, gradients)
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        self.lock().step_multi(lr, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        self.lock().to_record()
    }

    fn load_record(self, record: Self::Record) -> Self {
        {
            let mut optimizer = self.lock();
            *optimizer = optimizer.clone().load_record(record);
        }
        self
    }
}

/// The first line of a saved state: its checksum, and the shapes of the parameters that it is for.
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

/// Numbers the parameters in the order of the module, instead of at random: an optimizer's state is kept by their
/// ids, and has to find them again in the next process.
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

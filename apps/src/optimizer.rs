//! Adam as the reference sets it, with a state that can be saved from outside the Learner and found again.

use std::sync::{Arc, Mutex};

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Adam with PyTorch's ε, which is not Burn's.
pub fn adam() -> AdamConfig {
    AdamConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(1e-8)
}

/// An Adam whose clones are one. The Learner keeps its optimizer to itself; a clone of this one can save the state.
#[derive(Clone)]
pub struct SharedAdam<M: AutodiffModule<B>, B: AutodiffBackend> {
    optimizer: Arc<Mutex<OptimizerAdaptor<Adam, M, B>>>,
}

type AdamRecord<M, B> = <OptimizerAdaptor<Adam, M, B> as Optimizer<M, B>>::Record;

impl<M: AutodiffModule<B>, B: AutodiffBackend> SharedAdam<M, B> {
    pub fn new() -> Self {
        Self { optimizer: Arc::new(Mutex::new(adam().init())) }
    }

    /// The state, exactly: step counts and both moments of every parameter of `model`.
    pub fn to_bytes(&self, model: &M) -> Vec<u8> {
        let record = self.lock().to_record();
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let state = recorder.record(record, ()).expect("bytes are written to memory");
        let mut bytes = header(model, &state).into_bytes();
        bytes.extend(state);
        bytes
    }

    /// Takes over a state of [`SharedAdam::to_bytes`], if it is whole and of a model like this one.
    pub fn load_bytes(&self, bytes: &[u8], model: &M, device: &B::Device) -> Result<(), String> {
        let start = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (found, state) = bytes.split_at(start);
        if found != header(model, state).as_bytes() {
            return Err("it is no state of Adam for this network, or its checksum is wrong".into());
        }
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
        let record: AdamRecord<M, B> = recorder.load(state.to_vec(), device).map_err(|error| error.to_string())?;
        let mut optimizer = self.lock();
        *optimizer = optimizer.clone().load_record(record);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OptimizerAdaptor<Adam, M, B>> {
        self.optimizer.lock().expect("no step panicked")
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for SharedAdam<M, B> {
    type Record = AdamRecord<M, B>;

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
fn header<B: Backend, M: Module<B>>(model: &M, state: &[u8]) -> String {
    struct Shapes(String);
    impl<B: Backend> ModuleVisitor<B> for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0 += &format!(" {:?}", param.dims()).replace(", ", "x");
        }
    }
    let mut shapes = Shapes(String::new());
    model.visit(&mut shapes);
    format!("adam {:08x}{}\n", crc32fast::hash(state), shapes.0)
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

//! What a method has to say of itself, to be trained by the one loop there is.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor};
use qare_data::{Augmentation, EpochCursor, ViewBatch};
use qare_models::{Backbone, NamedTensor, StateDict, WeightsError};

use crate::error::Result;
use crate::features::Features;
use crate::optimizer::Rule;
use crate::recipe::Recipe;

/// A method: the networks it trains on top of a backbone, and its loss on a batch of views.
pub trait Pretext<B: Backend>: Module<B> {
    /// Sets what the method does otherwise than the common protocol. What a recipe or a flag says goes before it.
    fn set_defaults(_recipe: &mut Recipe) {}

    /// How the method trains.
    fn plan(recipe: &Recipe) -> Plan;

    /// The networks as training starts: their weights are a function of the recipe.
    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self>;

    /// What has to happen before an epoch; the changed networks, if any weight changes by it.
    fn begin_epoch(self, _start: &mut EpochStart<'_, B>) -> Result<Option<Self>> {
        Ok(None)
    }

    /// The loss of a batch of views `[B, K, 3, H, W]`, or of a device's share of one, and the figures that the plan announces; or
    /// why there is none.
    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> std::result::Result<StepLoss<B>, String>;

    /// The networks' weights, under the names they have in files.
    fn weights(&self) -> Vec<NamedTensor>;

    /// The networks with the weights of a file.
    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError>;
}

/// How a method trains.
#[derive(Clone, Debug)]
pub struct Plan {
    pub augmentation: Augmentation,
    /// Views of each image in a batch.
    pub views: usize,
    /// Whether it learns from labels, and so cannot use images without.
    pub labelled: bool,
    pub last_batch: LastBatch,
    /// On several devices: whether each takes its negatives from its own share of the batch, and so needs two images.
    pub local_negatives: bool,
    pub rule: Rule,
    /// Shares of the epochs after which the learning rate is a tenth of what it was.
    pub drops: &'static [f64],
    /// What a step tells besides its loss.
    pub figures: Vec<Figure>,
}

impl Plan {
    /// Adam at a constant rate; a last batch is used if it has enough images.
    pub fn new(augmentation: Augmentation, views: usize) -> Self {
        let last_batch = LastBatch::IfEnough;
        Self {
            augmentation,
            views,
            labelled: false,
            last_batch,
            local_negatives: false,
            rule: Rule::Adam,
            drops: &[],
            figures: Vec::new(),
        }
    }

    pub fn with_figures(self, figures: impl IntoIterator<Item = Figure>) -> Self {
        Self { figures: figures.into_iter().collect(), ..self }
    }
}

/// What becomes of an incomplete last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastBatch {
    /// It is used, but for a single image: that has nothing to be contrasted with, and no variance to normalise by. On several
    /// devices, each has to get enough of it, see [`Recipe::least_batch`].
    IfEnough,
    /// It is left out.
    Dropped,
}

/// A number that each step tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// As the dashboard shows it; in small letters, with underscores, the column of the log.
    pub name: &'static str,
    pub unit: Option<&'static str>,
    pub precision: usize,
    pub higher_is_better: bool,
}

impl Figure {
    /// A part of the loss.
    pub const fn term(name: &'static str) -> Self {
        Self { name, unit: None, precision: 4, higher_is_better: false }
    }

    /// Correct answers, in percent.
    pub const fn accuracy(name: &'static str) -> Self {
        Self { name, unit: Some("%"), precision: 2, higher_is_better: true }
    }

    /// Its column in `log.csv`.
    pub fn column(&self) -> String {
        self.name.to_lowercase().replace([' ', '-'], "_")
    }
}

/// What a method may know of the images it trains on.
#[derive(Clone, Debug)]
pub struct Facts {
    pub images: usize,
    pub classes: usize,
    /// The epoch that is going on.
    pub epoch: EpochCursor,
}

/// The moment before an epoch.
pub struct EpochStart<'a, B: Backend> {
    pub epoch: usize,
    pub seed: u64,
    pub device: Device<B>,
    /// Computes the frozen features of all training images, in their order.
    pub features: &'a mut dyn FnMut() -> Result<Features>,
}

/// What a method makes of a batch, or of a device's share of one.
pub struct StepLoss<B: Backend> {
    pub loss: Tensor<B, 1>,
    /// Values of the plan's figures, in its order.
    pub figures: Vec<Tensor<B, 1>>,
    pub scope: Scope,
}

/// What loss and figures are of, where several devices have a share of the batch each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// The whole batch: each device has the same loss, and that part of its gradient that goes through its own images.
    Batch,
    /// A device's images, of which there are so many per image of the batch: loss and figures are means over them.
    Share(f64),
}

impl Scope {
    /// What a loss weighs in the sum of those of all devices, of which this is the first or not; and what its figures weigh.
    pub fn weights(self, first: bool) -> (f64, f64) {
        match self {
            Scope::Batch => (1.0, if first { 1.0 } else { 0.0 }),
            Scope::Share(share) => (share, share),
        }
    }
}

/// Answers that are right, in percent: the largest of scores `[N, classes]` is that of the target.
pub fn accuracy<B: Backend>(scores: Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let predicted: Tensor<B, 1, Int> = scores.argmax(1).squeeze_dim(1);
    predicted.equal(targets).float().mean() * 100.0
}

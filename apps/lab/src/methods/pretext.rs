//! What a method implements, to be trained by the one loop there is.

use burn::module::{AutodiffModule, Module, ModuleDisplay};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Device, Int, Tensor};
use qare_data::{Augmentation, ImageSet, Splits, ViewBatch};
use qare_models::{Backbone, NamedTensor, StateDict, WeightsError};

use crate::error::Result;
use crate::evaluation::features::Features;
use crate::recipe::Recipe;
use crate::training::optimizer::Rule;

/// A method: the networks that it trains on top of a backbone, and its loss on a batch of views.
///
/// [`train`](crate::training::train) trains whatever implements this: a method can live in any crate.
pub trait Pretext<B: Backend>: Module<B> + ModuleDisplay {
    /// Sets the defaults in which the method differs from the common protocol. A recipe or a flag overrides them.
    fn set_defaults(_recipe: &mut Recipe) {}

    /// How the method trains.
    fn plan(recipe: &Recipe) -> Plan;

    /// The networks at the start of training. Their weights are a function of the recipe.
    ///
    /// # Errors
    /// If the method cannot train on these images as the recipe asks.
    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self>;

    /// The networks at the start of an epoch. What a method keeps from epoch to epoch is in the networks, and nowhere else.
    ///
    /// # Errors
    /// If the epoch cannot begin; training ends then.
    fn begin_epoch(self, _start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(self)
    }

    /// The loss of a batch of views `[B, K, 3, H, W]`, or of one device's share of it, and the figures that the plan announces.
    ///
    /// # Errors
    /// If there is no loss; training ends then.
    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>>;

    /// The networks' weights, under the names they have in files.
    fn weights(&self) -> Vec<NamedTensor>;

    /// The networks with the weights of a file.
    ///
    /// # Errors
    /// If they are not all there, or do not fit.
    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError>;
}

/// A [`Pretext`] on a backend that differentiates: every one that derives [`Module`].
pub trait Trainable<B: AutodiffBackend>: Pretext<B> + AutodiffModule<B, InnerModule: ModuleDisplay> + 'static {}

impl<B: AutodiffBackend, P> Trainable<B> for P where
    P: Pretext<B> + AutodiffModule<B, InnerModule: ModuleDisplay> + 'static
{
}

/// How a method trains.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How views are made.
    pub augmentation: Augmentation,
    /// Views of each image in a batch.
    pub views: usize,
    /// Whether the method learns from labels. Unlabelled images are of no use to it then.
    pub labelled: bool,
    /// What becomes of an incomplete last batch.
    pub last_batch: LastBatch,
    /// Whether, on several devices, each takes its negatives from its own share of the batch, and so needs two images.
    pub local_negatives: bool,
    /// How weights follow from gradients.
    pub rule: Rule,
    /// The backbone's learning rate, as a multiple of the recipe's, which is that of the method's own networks.
    pub backbone_rate: f64,
    /// Shares of the epochs after each of which the learning rate is divided by ten.
    pub drops: &'static [f64],
    /// What a step reports besides its loss.
    pub figures: Vec<Figure>,
}

impl Plan {
    /// Adam at a constant rate; a last batch is used if it has enough images.
    pub fn new(augmentation: Augmentation, views: usize) -> Self {
        Self {
            augmentation,
            views,
            labelled: false,
            last_batch: LastBatch::IfEnough,
            local_negatives: false,
            rule: Rule::ADAM,
            backbone_rate: 1.0,
            drops: &[],
            figures: Vec::new(),
        }
    }

    /// The same, with these figures.
    pub fn with_figures(self, figures: impl IntoIterator<Item = Figure>) -> Self {
        Self { figures: figures.into_iter().collect(), ..self }
    }

    /// The images that the method trains on: unlabelled ones where the dataset has them and labels are not needed.
    pub fn images<'a>(&self, splits: &'a Splits) -> &'a ImageSet {
        if self.labelled { &splits.train } else { splits.pretraining() }
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

/// A number that each step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// As the dashboard shows it; in small letters, with underscores, the column of the log.
    pub name: &'static str,
    /// Its unit, such as %.
    pub unit: Option<&'static str>,
    /// Digits after the point.
    pub precision: usize,
    /// Whether more of it is better.
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
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// How many there are.
    pub images: usize,
    /// Classes of the labelled images.
    pub classes: usize,
}

/// The moment before an epoch.
pub struct EpochStart<'a, B: Backend> {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Where all randomness starts from.
    pub seed: u64,
    /// The device that trains; of several, the main one.
    pub device: Device<B>,
    /// Computes the frozen features of all training images, in their order.
    pub features: &'a mut dyn FnMut() -> Result<Features>,
}

/// What a method makes of a batch, or of a device's share of one.
pub struct StepLoss<B: Backend> {
    /// What is minimised, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Values of the plan's figures, `[1]` each, in its order.
    pub figures: Vec<Tensor<B, 1>>,
    /// What loss and figures are of.
    pub scope: Scope,
}

/// What loss and figures are of, where several devices have a share of the batch each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// The whole batch: each device computes the same loss, and the part of its gradient that goes through its own images.
    Batch,
    /// The images of one device, this fraction of the batch: loss and figures are means over them.
    Share(f64),
}

impl Scope {
    /// The weights of a device's loss and of its figures in the sums over all devices. `first`: whether it is the first device.
    pub(crate) fn weights(self, first: bool) -> (f64, f64) {
        match self {
            Scope::Batch => (1.0, if first { 1.0 } else { 0.0 }),
            Scope::Share(share) => (share, share),
        }
    }
}

/// Right answers in percent: the largest of scores `[N, classes]` is that of the target.
pub fn accuracy<B: Backend>(scores: Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let predicted: Tensor<B, 1, Int> = scores.argmax(1).squeeze_dim(1);
    predicted.equal(targets).float().mean() * 100.0
}

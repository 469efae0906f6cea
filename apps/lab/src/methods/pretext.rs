//! The trait that a method implements for the training loop, and the types of its interface.

use burn::module::{AutodiffModule, Module, ModuleDisplay, ParamId};
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
/// [`train`](crate::training::train) accepts any implementation, so a method can live in any crate.
pub trait Pretext<B: Backend>: Module<B> + ModuleDisplay {
    /// Sets the defaults in which the method differs from the common protocol. Recipes and flags override them.
    fn set_defaults(_recipe: &mut Recipe) {}

    /// Returns the training plan.
    fn plan(recipe: &Recipe) -> Plan;

    /// Initialises the networks. Their weights are a function of the recipe.
    ///
    /// # Errors
    /// If the method cannot train on these images with this recipe.
    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self>;

    /// Prepares the networks for an epoch. The networks hold all the state that a method keeps between epochs.
    ///
    /// # Errors
    /// If the epoch cannot start. An error ends the training.
    fn begin_epoch(self, _start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(self)
    }

    /// Returns the parameters that have a learning rate of their own, and that rate relative to the others'.
    fn rates(&self) -> Vec<(ParamId, f64)> {
        Vec::new()
    }

    /// Computes the embeddings `[N, D]` that validation by [`Validating::Recall`] compares, given features `[N, F]`. By default the features.
    fn embed(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        features
    }

    /// Computes the loss of a batch of views `[B, K, 3, H, W]`, or of one device's share of it, and the figures listed in the plan.
    ///
    /// # Errors
    /// If the loss cannot be computed. An error ends the training.
    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>>;

    /// Returns the weights of the networks under their names in files.
    fn weights(&self) -> Vec<NamedTensor>;

    /// Loads the weights of a file into the networks.
    ///
    /// # Errors
    /// If a weight is missing or has the wrong shape.
    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError>;
}

/// A [`Pretext`] on an autodiff backend. Every `Pretext` that derives [`Module`] implements this trait.
pub trait Trainable<B: AutodiffBackend>:
    Pretext<B> + AutodiffModule<B, InnerModule: Pretext<B::InnerBackend> + Sync> + Sync + 'static
{
}

impl<B: AutodiffBackend, P> Trainable<B> for P where
    P: Pretext<B> + AutodiffModule<B, InnerModule: Pretext<B::InnerBackend> + Sync> + Sync + 'static
{
}

/// The training plan of a method.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The augmentation that makes views.
    pub augmentation: Augmentation,
    /// Number of views of each image in a batch.
    pub views: usize,
    /// Whether the method needs labels. Such a method trains on labelled images only.
    pub labelled: bool,
    /// Number of images of each class in a batch, for batches of several images of each class: see
    /// [`ViewLoader::by_identity`](qare_data::ViewLoader::by_identity). `None` for batches of any images.
    pub images_per_identity: Option<usize>,
    /// What the score after each epoch is.
    pub validating: Validating,
    /// Handling of an incomplete last batch.
    pub last_batch: LastBatch,
    /// Whether each of several devices takes negatives only from its own share of the batch. A share then needs two images.
    pub local_negatives: bool,
    /// The update rule of the optimizer.
    pub rule: Rule,
    /// The learning rate of the backbone, relative to the recipe's learning rate, which applies to the method's networks.
    pub backbone_rate: f64,
    /// Fractions of the epochs after which the learning rate is divided by ten.
    pub drops: &'static [f64],
    /// The figures that a step reports besides its loss.
    pub figures: Vec<Figure>,
}

impl Plan {
    /// Returns a plan with Adam at a constant learning rate, which uses the last batch if it has enough images.
    pub fn new(augmentation: Augmentation, views: usize) -> Self {
        Self {
            augmentation,
            views,
            labelled: false,
            images_per_identity: None,
            validating: Validating::Neighbours,
            last_batch: LastBatch::IfEnough,
            local_negatives: false,
            rule: Rule::ADAM,
            backbone_rate: 1.0,
            drops: &[],
            figures: Vec::new(),
        }
    }

    /// Returns the plan with these figures.
    pub fn with_figures(self, figures: impl IntoIterator<Item = Figure>) -> Self {
        Self { figures: figures.into_iter().collect(), ..self }
    }

    /// Returns the training images: the unlabelled split if the dataset has one and the method needs no labels.
    pub fn images<'a>(&self, splits: &'a Splits) -> &'a ImageSet {
        if self.labelled { &splits.train } else { splits.pretraining() }
    }
}

/// What the score after each epoch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validating {
    /// The kNN accuracy of features of training images.
    Neighbours,
    /// Recall@1 of embeddings of images that are held out of the training.
    Recall,
}

/// Handling of an incomplete last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastBatch {
    /// Use the batch if it has at least [`Recipe::least_batch`] images. A single image has no negatives, and batch normalisation
    /// of it has no variance.
    IfEnough,
    /// Drop the batch.
    Dropped,
}

/// A figure that each step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The name in the dashboard. [`column`](Figure::column) derives the column of the log from it.
    pub name: &'static str,
    /// The unit, such as %.
    pub unit: Option<&'static str>,
    /// Number of decimal places.
    pub precision: usize,
    /// Whether higher values are better.
    pub higher_is_better: bool,
}

impl Figure {
    /// Returns a figure for a term of the loss.
    pub const fn term(name: &'static str) -> Self {
        Self { name, unit: None, precision: 4, higher_is_better: false }
    }

    /// Returns a figure for an accuracy in percent.
    pub const fn accuracy(name: &'static str) -> Self {
        Self { name, unit: Some("%"), precision: 2, higher_is_better: true }
    }

    /// Returns the name of the column in `log.csv`: lower case with underscores.
    pub fn column(&self) -> String {
        self.name.to_lowercase().replace([' ', '-'], "_")
    }
}

/// Size of the training set, for the initialisation of a method.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Number of training images.
    pub images: usize,
    /// Number of classes of the labelled images.
    pub classes: usize,
}

/// The arguments of [`Pretext::begin_epoch`].
pub struct EpochStart<'a, B: Backend> {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The seed of the run.
    pub seed: u64,
    /// The training device; the main one of several.
    pub device: Device<B>,
    /// Computes the frozen features of all training images, in their order.
    pub features: &'a mut dyn FnMut() -> Result<Features>,
}

/// Loss and figures of a batch, or of a device's share of one.
pub struct StepLoss<B: Backend> {
    /// The loss, `[1]`.
    pub loss: Tensor<B, 1>,
    /// The figures, `[1]` each, in the order of the plan.
    pub figures: Vec<Tensor<B, 1>>,
    /// The images that loss and figures are computed over.
    pub scope: Scope,
    /// The embeddings that the loss was computed from, for [figures of the representation](crate::training::live). `None` for none.
    pub embeddings: Option<Embeddings<B>>,
}

/// Embeddings of a batch, or of one device's share of it.
#[derive(Clone, Debug)]
pub struct Embeddings<B: Backend> {
    /// The embeddings `[N, D]`, not normalised.
    pub rows: Tensor<B, 2>,
    /// This number of rows, one after the other, are positives of each other: views of an image, or images of a class. 1 without
    /// positives.
    pub positives: usize,
}

impl<B: Backend> Embeddings<B> {
    /// Embeddings `[N, D]` of which each `positives` rows are positives of each other.
    pub fn of(rows: &Tensor<B, 2>, positives: usize) -> Option<Self> {
        Some(Self { rows: rows.clone(), positives })
    }
}

impl<B: AutodiffBackend> Embeddings<B> {
    /// Returns the embeddings without their graph.
    pub(crate) fn inner(self) -> Embeddings<B::InnerBackend> {
        Embeddings { rows: self.rows.inner(), positives: self.positives }
    }
}

/// The images that loss and figures are computed over when several devices share a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// The whole batch. Each device computes the same loss, and the part of its gradient that flows through the device's own
    /// images.
    Batch,
    /// The images of one device, which are this fraction of the batch. Loss and figures are means over them.
    Share(f64),
}

impl Scope {
    /// Returns the weights of a device's loss and of its figures in the sums over all devices. `first` marks the first device.
    pub(crate) fn weights(self, first: bool) -> (f64, f64) {
        match self {
            Scope::Batch => (1.0, if first { 1.0 } else { 0.0 }),
            Scope::Share(share) => (share, share),
        }
    }
}

/// Computes the accuracy in percent, `[1]`: the fraction of rows of the scores `[N, classes]` whose maximum is at the target.
pub fn accuracy<B: Backend>(scores: Tensor<B, 2>, targets: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let predicted: Tensor<B, 1, Int> = scores.argmax(1).squeeze_dim(1);
    predicted.equal(targets).float().mean() * 100.0
}

//! A method of one's own in the loop of qare: Barlow Twins (Zbontar et al. 2021) on drawn shapes, without any download.
//!
//! It gets what the methods of qare have: a run folder with checkpoints, kNN validation, Burn's dashboard (in a terminal),
//! and the linear probe. Called again, it goes on where it stopped.
//!
//!     cargo run --release --package qare-lab --example own_method -- [EPOCHS] [FOLDER]

use std::io::IsTerminal;

use burn::backend::Autodiff;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use burn_flex::Flex;
use burn_train::renderer::MetricsRenderer;
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use qare::Views;
use qare_data::{Augmentation, DatasetName, ViewBatch};
use qare_lab::evaluation::probe::{ProbeOptions, ProbeTarget, probe};
use qare_lab::images::Images;
use qare_lab::methods::{Facts, Figure, MethodName, Plan, Pretext, Scope, StepLoss};
use qare_lab::precision::single;
use qare_lab::progress::ignore;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::training::{Silent, TrainOptions, TrainingStart, train};
use qare_lab::{LabError, Result};
use qare_models::{
    Backbone, NamedTensor, ProjectionHead, ProjectionHeadConfig, StateDict, WeightsError, named_tensors,
};

/// Weight of the off-diagonal part of the loss.
const LAMBDA: f64 = 5e-3;

/// The projector, whose two embeddings of an image should agree while their dimensions stay uncorrelated.
#[derive(Module, Debug)]
pub struct BarlowTwins<B: Backend> {
    projector: ProjectionHead<B>,
}

/// Zero mean and unit variance of each dimension of `[N, D]`.
fn standardized<B: Backend>(embeddings: Tensor<B, 2>) -> Tensor<B, 2> {
    let (variance, mean) = embeddings.clone().var_mean(0);
    (embeddings - mean) / (variance + 1e-5).sqrt()
}

impl<B: Backend> Pretext<B> for BarlowTwins<B> {
    fn plan(recipe: &Recipe) -> Plan {
        let figures = [Figure::term("Invariance"), Figure::term("Redundancy")];
        Plan { local_negatives: true, ..Plan::new(Augmentation::Contrastive, recipe.views).with_figures(figures) }
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let projector = ProjectionHeadConfig::new(recipe.backbone.feature_dim()).with_output(recipe.outter_fs);
        Ok(Self { projector: projector.init(recipe.seed, device) })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let images = batch.images.dims()[0];
        // Row i·K + k is view k of image i.
        let rows = Views::PAIR.rows(batch.images); // [2·B, 3, H, W]
        let embeddings = single(self.projector.forward(backbone.forward(rows))); // [2·B, D]
        let dim = embeddings.dims()[1];
        let pairs: Tensor<B, 3> = embeddings.reshape([images, 2, dim]);
        let view = |k| standardized(pairs.clone().narrow(1, k, 1).squeeze_dim(1)); // [B, D]
        let correlation = view(0).transpose().matmul(view(1)) / images as f64; // [D, D]
        let diagonal = Tensor::<B, 2>::eye(dim, &correlation.device());
        let invariance = ((correlation.clone() - 1.0) * diagonal.clone()).powi_scalar(2).sum();
        let redundancy = (correlation * (diagonal * -1.0 + 1.0)).powi_scalar(2).sum();
        let loss = invariance.clone() + redundancy.clone() * LAMBDA;
        Ok(StepLoss { loss, figures: vec![invariance, redundancy], scope: Scope::Share(batch.share.fraction()) })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.projector, "projector")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { projector: weights.load_into(self.projector, "projector")? })
    }
}

type B = Autodiff<Flex>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let epochs = arguments.next().map_or(Ok(10), |epochs| epochs.parse()).map_err(LabError::failed)?;
    let recipe = Recipe {
        method: MethodName::Own("barlow_twins".into()),
        dataset: DatasetName::Shapes,
        epochs,
        out: arguments.next().unwrap_or("checkpoint".into()).into(),
        ..Recipe::default()
    };
    let run = OpenRun::of(&recipe, Existing::Resume)?;
    let splits = Images::for_training(&recipe, &ignore)?.splits;
    let device = Default::default();
    let dashboard = |start: TrainingStart| -> Box<dyn MetricsRenderer> {
        if !std::io::stdout().is_terminal() {
            return Box::new(Silent);
        }
        Box::new(TuiMetricsRendererWrapper::new(start.interrupter, Some(start.epochs_done).filter(|done| *done > 0)))
    };
    let options = TrainOptions { backend: "flex", renderer: Some(&dashboard), ..TrainOptions::default() };
    let trained = train::<B, BarlowTwins<B>>(&run, &splits, &[device], options)?;

    let checkpoint = Checkpoint::of_run_or_file(trained.folder.path(), &Stated::default())?;
    let target = ProbeTarget::of(&checkpoint, &recipe, None)?;
    let options = ProbeOptions::silent(&target.tuning_folder());
    let probed = probe::<B>(&checkpoint, &recipe, &splits, &[device], &target, options)?;
    probed.save()?;
    println!("{:?}; linear probe {:.2} %, kNN {:.2} %", trained.epochs, probed.result.test.accuracy, probed.result.knn);
    Ok(())
}

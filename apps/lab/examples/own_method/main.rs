//! A custom method in the training loop of qare: Barlow Twins (Zbontar et al. 2021) on drawn shapes, without any download.
//!
//! Like the built-in methods, it has a run folder with checkpoints, kNN validation, Burn's dashboard (in a terminal),
//! and the linear probe. A second call resumes the training where the first one stopped.
//!
//!     cargo run --release --package qare-lab --example own_method -- [EPOCHS] [FOLDER]

mod barlow_twins;

use std::io::IsTerminal;

use burn::backend::Autodiff;
use burn_flex::Flex;
use burn_train::renderer::MetricsRenderer;
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use qare_data::DatasetName;
use qare_lab::evaluation::probe::{ProbeOptions, ProbeTarget, probe};
use qare_lab::images::Images;
use qare_lab::methods::MethodName;
use qare_lab::progress::ignore;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::training::{Silent, TrainOptions, TrainingStart, train};
use qare_lab::{LabError, Result};

use barlow_twins::BarlowTwins;

type B = Autodiff<Flex>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let epochs = arguments.next().map_or(Ok(10), |epochs| epochs.parse()).map_err(LabError::failed)?;
    let recipe = Recipe {
        method: MethodName::Custom("barlow_twins".into()),
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

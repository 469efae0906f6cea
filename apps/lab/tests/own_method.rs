//! A custom method, that of the example `own_method`, trains, resumes and is probed like a built-in one.

#[path = "../examples/own_method/barlow_twins.rs"]
mod barlow_twins;

use std::path::Path;
use std::sync::Mutex;

use burn::backend::Autodiff;
use burn_flex::Flex;
use burn_train::renderer::MetricsRenderer;
use qare_data::DatasetName;
use qare_lab::evaluation::probe::{ProbeOptions, ProbeTarget, probe};
use qare_lab::images::Images;
use qare_lab::methods::MethodName;
use qare_lab::progress::ignore;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::training::{Silent, TrainOptions, Trained, TrainedEpochs, TrainingStart, train, train_built_in};

type B = Autodiff<Flex>;

fn recipe(out: &Path, epochs: usize) -> Recipe {
    Recipe {
        method: MethodName::Custom("barlow_twins".into()),
        dataset: DatasetName::Shapes,
        batch_size: 16,
        epochs,
        train_images: Some(64),
        test_images: Some(40),
        num_workers: 1,
        out: out.to_path_buf(),
        ..Recipe::default()
    }
}

fn trained(recipe: &Recipe, existing: Existing, options: TrainOptions<'_, B>) -> qare_lab::Result<Trained> {
    let run = OpenRun::of(recipe, existing)?;
    let splits = Images::for_training(recipe, &ignore)?.splits;
    train::<B, barlow_twins::BarlowTwins<B>>(&run, &splits, &[Default::default()], options)
}

/// Returns the weights of an epoch by name.
fn weights(run: &Trained, epoch: usize) -> Vec<(String, Vec<f32>)> {
    let file = run.folder.file(&run.folder.weights_name(epoch));
    let checkpoint = Checkpoint::read(&file, &Stated::default()).unwrap();
    let names: Vec<String> = checkpoint.weights.names().map(str::to_string).collect();
    names.into_iter().map(|name| (name.clone(), checkpoint.weights.tensor(&name).unwrap().values)).collect()
}

#[test]
fn a_resumed_run_ends_with_the_weights_of_an_uninterrupted_run() {
    let (whole_out, stopped_out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = trained(&recipe(whole_out.path(), 3), Existing::Refuse, TrainOptions::default()).unwrap();
    assert!(matches!(whole.epochs, TrainedEpochs::Some { epochs: 3, .. }), "{:?}", whole.epochs);

    // The run is interrupted in its first epoch, then trained, then extended.
    let recipe = recipe(stopped_out.path(), 2);
    let stop = |start: TrainingStart| -> Box<dyn MetricsRenderer> {
        assert_eq!((start.epochs_done, start.epochs), (0, 2));
        start.interrupter.stop(None);
        Box::new(Silent)
    };
    let options = TrainOptions { renderer: Some(&stop), ..TrainOptions::default() };
    let error = trained(&recipe, Existing::Refuse, options).unwrap_err();
    assert!(error.to_string().starts_with("interrupted"), "{error}");
    let resumed_at = Mutex::new(0);
    for epochs in [2, 3] {
        let note = |start: TrainingStart| -> Box<dyn MetricsRenderer> {
            *resumed_at.lock().unwrap() = start.epochs_done;
            Box::new(Silent)
        };
        let options = TrainOptions { renderer: Some(&note), ..TrainOptions::default() };
        let run = trained(&Recipe { epochs, ..recipe.clone() }, Existing::Resume, options).unwrap();
        if epochs == 3 {
            assert_eq!(*resumed_at.lock().unwrap(), 2);
            assert_eq!(weights(&run, 3), weights(&whole, 3));
        }
    }
    let error = trained(&recipe, Existing::Refuse, TrainOptions::default()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_log_has_the_figures_of_the_method_and_the_run_is_probed() {
    let out = tempfile::tempdir().unwrap();
    let recipe = recipe(out.path(), 1);
    let run = trained(&recipe, Existing::Refuse, TrainOptions::default()).unwrap();
    let log = std::fs::read_to_string(run.folder.file("log.csv")).unwrap();
    assert!(log.starts_with("epoch,loss,score,invariance,redundancy,"), "{log}");

    let checkpoint = Checkpoint::of_run_or_file(run.folder.path(), &Stated::default()).unwrap();
    let target = ProbeTarget::of(&checkpoint, &recipe, None).unwrap();
    let splits = Images::for_probing(&recipe, &ignore).unwrap().splits;
    let options = ProbeOptions::silent(&target.tuning_folder());
    let probed = probe::<B>(&checkpoint, &recipe, &splits, &[Default::default()], &target, options).unwrap();
    probed.save().unwrap();
    assert!(target.weights().is_file() && probed.result.test.accuracy > 0.0);
}

#[test]
fn an_unknown_built_in_method_is_named_in_the_error() {
    let out = tempfile::tempdir().unwrap();
    let recipe = recipe(out.path(), 1);
    let run = OpenRun::of(&recipe, Existing::Refuse).unwrap();
    let splits = Images::for_training(&recipe, &ignore).unwrap().splits;
    let error = train_built_in::<B>(&run, &splits, &[Default::default()], TrainOptions::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("barlow_twins"), "{error}");
}

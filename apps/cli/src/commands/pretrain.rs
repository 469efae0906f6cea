//! `qare pretrain`: stage 1.

use burn_train::Interrupter;
use burn_train::renderer::MetricsRenderer;
use qare_data::Splits;
use qare_lab::PrintablePath;
use qare_lab::images::Images;
use qare_lab::methods::{Plan, Validating};
use qare_lab::progress::duration;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::runs::run_folder::RunFolder;
use qare_lab::training::{TrainOptions, Trained, TrainedEpochs, TrainingStart, resume_hint, train_built_in};
use qare_lab::{LabError, Result};

use super::test::test_and_record;
use crate::backend::{Device, NAME, Training, device_name, devices_of};
use crate::cli::{ExistingFlags, PretrainArgs, RecipeFlags};
use crate::dashboard::{Dashboard, Killed, catch_kill};
use crate::output::print_line;
use crate::progress::{PlainProgress, show};
use crate::{interrupt, terminal};

pub fn pretrain_command(args: PretrainArgs) -> Result<()> {
    let recipe = args.flags.to_recipe(args.config.as_deref())?;
    let prepared = Prepared::of(&recipe, &args.flags, args.existing)?.print_header();
    train(&prepared.run, &prepared.images.splits, &prepared.devices, prepared.no_tui)?;
    Ok(())
}

/// A run that is ready to start: its folder is locked, its devices are open and its images are loaded.
pub struct Prepared {
    pub run: OpenRun,
    pub devices: Vec<Device>,
    pub images: Images,
    pub no_tui: bool,
}

impl Prepared {
    /// Prepares a run. Checks the run folder and the devices first, since reading the images may take long.
    pub fn of(recipe: &Recipe, flags: &RecipeFlags, existing: ExistingFlags) -> Result<Self> {
        recipe.method.built_in()?;
        let run = OpenRun::of(recipe, existing.into())?;
        let devices = devices_of(recipe)?;
        let images = Images::for_training(&run.recipe, &show)?;
        match &flags.without_effect(recipe)[..] {
            [] => {}
            [one] => print_line(format!("note: {one} has no effect on {}", recipe.method)),
            several => print_line(format!("note: {} have no effect on {}", several.join(" and "), recipe.method)),
        }
        Ok(Self { run, devices, images, no_tui: flags.machine.no_tui })
    }

    /// Prints a line with method, dataset, backbone, epochs and devices, and returns `self`.
    pub fn print_header(self) -> Self {
        let recipe = &self.run.recipe;
        let images = recipe.method.images(recipe, &self.images.splits).len();
        let training = match recipe.method.plan(recipe) {
            Some(Plan { images_per_identity: Some(images), .. }) => {
                format!("{} of {} classes × {images} images", count_epochs(recipe.epochs), recipe.batch_size / images)
            }
            Some(plan) => format!("{} of {} × {} views", count_epochs(recipe.epochs), recipe.batch_size, plan.views),
            None => "untrained".to_string(),
        };
        let devices = match &recipe.devices()[..] {
            [_] => device_name(&self.devices[0]).map_or(String::new(), |name| format!(" on {name}")),
            several => {
                let names: Vec<String> = several.iter().flatten().map(|device| device.to_string()).collect();
                format!(", devices {}", names.join(", "))
            }
        };
        print_line(format!(
            "{} on {} ({}), {}, {training}, backend {NAME}{devices}",
            recipe.method,
            recipe.dataset,
            self.images.described(images),
            recipe.backbone
        ));
        self
    }
}

impl From<ExistingFlags> for Existing {
    fn from(flags: ExistingFlags) -> Self {
        match flags {
            ExistingFlags { resume: true, .. } => Existing::Resume,
            ExistingFlags { overwrite: true, .. } => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }
}

/// Runs stage 1. A method that learns from labels trains a classifier too; its test accuracy is printed at the end.
pub fn train(run: &OpenRun, splits: &Splits, devices: &[Device], no_tui: bool) -> Result<RunFolder> {
    let recipe = &run.recipe;
    let trained = with_progress(&resume_hint(&run.folder), no_tui, |options| {
        train_built_in::<Training>(run, splits, devices, options)
    })?;
    print_summary(&trained, recipe);
    let folder = trained.folder;
    let has_classifier =
        recipe.method.plan(recipe).is_some_and(|plan| plan.labelled && plan.validating == Validating::Neighbours);
    // A classifier says nothing about classes that it has not seen: those are searched by retrieval.
    let same_classes = splits.train.class_names() == splits.test.class_names();
    if has_classifier && same_classes && !splits.test.is_empty() && splits.test.is_labeled() {
        let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
        test_and_record(&checkpoint, SUPERVISED, splits, recipe, &devices[0])?;
    }
    Ok(folder)
}

/// The key in `results.json` of the test of a classifier that was trained together with its backbone.
const SUPERVISED: &str = "supervised";

/// Runs a training with its progress in the dashboard or as plain lines, and lets Ctrl-C stop it.
///
/// `hint` tells the user how to continue a training that was killed from the dashboard.
pub fn with_progress<T>(
    hint: &str,
    no_tui: bool,
    training: impl FnOnce(TrainOptions<'_, Training>) -> Result<T>,
) -> Result<T> {
    let interrupter = Interrupter::new();
    interrupt::stop_on_ctrl_c(&interrupter);
    let open = |start: TrainingStart| -> Box<dyn MetricsRenderer> {
        if no_tui || !terminal::can_draw() {
            Box::new(PlainProgress::new(start.epochs_done, start.epochs))
        } else {
            Box::new(Dashboard::open(start.interrupter, start.epochs_done))
        }
    };
    let options = TrainOptions { backend: NAME, interrupter, renderer: Some(&open), backbone: None };
    let result = catch_kill(|| training(options));
    interrupt::training_has_ended();
    result.unwrap_or_else(|Killed| Err(LabError::Interrupted(format!("killed from the dashboard; {hint}"))))
}

/// A number of epochs in words: `1 epoch`, `2 epochs`.
pub fn count_epochs(epochs: usize) -> String {
    if epochs == 1 { "1 epoch".into() } else { format!("{epochs} epochs") }
}

/// Prints how the training ended.
fn print_summary(trained: &Trained, recipe: &Recipe) {
    let path = trained.folder.path().printable();
    match trained.epochs {
        // The library has already logged it.
        TrainedEpochs::Complete => {}
        TrainedEpochs::Untrained => print_line(format!("untrained {} saved in {path}", recipe.backbone)),
        TrainedEpochs::Some { epochs, loss, seconds } => print_line(format!(
            "{} in {} ({:.1} s an epoch), final loss {loss:.4}; saved in {path}",
            count_epochs(epochs),
            duration(seconds),
            seconds / epochs as f64
        )),
    }
}

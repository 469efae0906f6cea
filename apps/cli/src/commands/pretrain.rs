//! `qare pretrain`: stage 1.

use burn_train::Interrupter;
use burn_train::renderer::MetricsRenderer;
use qare_data::Splits;
use qare_lab::images::Images;
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
use crate::dashboard::{Dashboard, Killed, until_killed};
use crate::output::say;
use crate::progress::{PlainProgress, show};
use crate::{interrupt, terminal};

pub fn pretrain_command(args: PretrainArgs) -> Result<()> {
    let recipe = args.flags.over(args.config.as_deref())?;
    let prepared = Prepared::of(&recipe, &args.flags, args.existing)?.announced();
    train(&prepared.run, &prepared.images.splits, &prepared.devices, prepared.no_tui)?;
    Ok(())
}

/// A run that can start: locked, with its devices and its images.
pub struct Prepared {
    pub run: OpenRun,
    pub devices: Vec<Device>,
    pub images: Images,
    pub no_tui: bool,
}

impl Prepared {
    /// Looks at an existing run and at the devices before the images are read, which may take a while.
    pub fn of(recipe: &Recipe, flags: &RecipeFlags, existing: ExistingFlags) -> Result<Self> {
        recipe.method.built_in()?;
        let run = OpenRun::of(recipe, existing.into())?;
        let devices = devices_of(recipe)?;
        let images = Images::for_training(recipe, &show)?;
        match &flags.without_effect(recipe)[..] {
            [] => {}
            [one] => say(format!("note: {one} has no effect on {}", recipe.method)),
            several => say(format!("note: {} have no effect on {}", several.join(" and "), recipe.method)),
        }
        Ok(Self { run, devices, images, no_tui: flags.machine.no_tui })
    }

    /// The same, after printing what is to be trained, on what, and where.
    pub fn announced(self) -> Self {
        let recipe = &self.run.recipe;
        let images = recipe.method.images(recipe, &self.images.splits).len();
        let training = match recipe.method.plan(recipe) {
            Some(plan) => format!("{} of {} × {} views", counted(recipe.epochs), recipe.batch_size, plan.views),
            None => "untrained".to_string(),
        };
        let on = match &recipe.devices()[..] {
            [_] => device_name(&self.devices[0]).map_or(String::new(), |name| format!(" on {name}")),
            several => {
                format!(
                    ", devices {}",
                    several.iter().flatten().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
                )
            }
        };
        say(format!(
            "{} on {} ({}), {}, {training}, backend {NAME}{on}",
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

/// Stage 1. What learned from labels has a classifier of its own, whose test accuracy is told at the end.
pub fn train(run: &OpenRun, splits: &Splits, devices: &[Device], no_tui: bool) -> Result<RunFolder> {
    let recipe = &run.recipe;
    let trained = watched(&resume_hint(&run.folder), no_tui, |options| {
        train_built_in::<Training>(run, splits, devices, options)
    })?;
    tell(&trained, recipe);
    let folder = trained.folder;
    let learned_labels = recipe.method.plan(recipe).is_some_and(|plan| plan.labelled);
    if learned_labels && !splits.test.is_empty() && splits.test.is_labeled() {
        let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
        test_and_record(&checkpoint, SUPERVISED, splits, recipe, &devices[0])?;
    }
    Ok(folder)
}

/// What `results.json` calls the test of a classifier that was trained with its backbone.
const SUPERVISED: &str = "supervised";

/// A training under the eyes of whoever called it: in the dashboard or as lines, stopped by Ctrl-C. `hint` says how to go on.
pub fn watched<T>(
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
    let done = until_killed(|| training(options));
    interrupt::training_has_ended();
    done.unwrap_or_else(|Killed| Err(LabError::Interrupted(format!("killed from the dashboard; {hint}"))))
}

/// So many epochs, in words.
pub fn counted(epochs: usize) -> String {
    if epochs == 1 { "1 epoch".into() } else { format!("{epochs} epochs") }
}

/// Prints how training ended.
fn tell(trained: &Trained, recipe: &Recipe) {
    let path = trained.folder.path().display();
    match trained.epochs {
        // The library has noted it.
        TrainedEpochs::Complete => {}
        TrainedEpochs::Untrained => say(format!("untrained {} saved in {path}", recipe.backbone)),
        TrainedEpochs::Some { epochs, loss, seconds } => say(format!(
            "{} in {} ({:.1} s an epoch), final loss {loss:.4}; saved in {path}",
            counted(epochs),
            duration(seconds),
            seconds / epochs as f64
        )),
    }
}

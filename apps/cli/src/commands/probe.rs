//! `qare probe`: stage 2.

use qare_data::Splits;
use qare_lab::PrintablePath;
use qare_lab::evaluation::finetune;
use qare_lab::evaluation::probe::{ProbeOptions, ProbeResult, ProbeTarget, probe};
use qare_lab::images::Images;
use qare_lab::progress::duration;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::Checkpoint;
use qare_lab::{LabError, Result};

use super::pretrain::{count_epochs, with_progress};
use super::{other_dataset, recipe_of, stated};
use crate::backend::{Device, NAME, Plain, Training, device_for, devices_of};
use crate::cli::ProbeArgs;
use crate::output::print_line;
use crate::progress::show;

pub fn probe_command(args: ProbeArgs) -> Result<()> {
    let checkpoint = Checkpoint::of_run_or_file(&args.from.checkpoint, &stated(&args.from))?;
    let mut recipe = recipe_of(&checkpoint, &args.from)?;
    recipe.probe.dataset = other_dataset(&recipe, args.from.dataset.or(recipe.probe.dataset));
    recipe.probe.finetune = args.from.finetune.unwrap_or(recipe.probe.finetune);
    // The flag needs --finetune, which is checked below; the recipe's setting applies only with fine-tuning.
    recipe.probe.augment = args.augment || (recipe.probe.augment && recipe.probe.finetune);
    if let (Some(rate), true) = (args.learning_rate, recipe.probe.finetune) {
        return Err(LabError::Usage(format!(
            "--learning-rate {rate}: fine-tuning has rates of its own, 0.001 for the backbone and 0.0001 for the classifier"
        )));
    }
    recipe.probe.seed = args.seed.or(recipe.probe.seed);
    recipe.probe.epochs = args.epochs.unwrap_or(recipe.probe.epochs);
    recipe.probe.learning_rate = args.learning_rate.unwrap_or(recipe.probe.learning_rate);
    recipe.validate()?;
    let devices = match devices_of(&recipe) {
        Ok(devices) => devices,
        // The run may come from a machine with other devices.
        Err(_) => {
            let device = device_for(args.from.machine.device, recipe.main_device())?;
            recipe.precision.require::<Plain>(NAME, &device)?;
            recipe.gpus = None;
            vec![device]
        }
    };
    let target = ProbeTarget::of(&checkpoint, &recipe, args.output.as_deref())?;
    let images = Images::for_probing(&recipe, &show)?;
    probe_and_save(&checkpoint, &recipe, &images.splits, &devices, &target, args.from.machine.no_tui)?;
    Ok(())
}

/// Probes a checkpoint, prints the accuracies, and saves classifier and figures.
pub fn probe_and_save(
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    splits: &Splits,
    devices: &[Device],
    target: &ProbeTarget,
    no_tui: bool,
) -> Result<ProbeResult<Plain>> {
    let tuning_folder = target.tuning_folder();
    let probed = with_progress(&finetune::hint(&tuning_folder), no_tui, |training| {
        let options = ProbeOptions { on_progress: &show, training, tuning_folder };
        probe::<Training>(checkpoint, recipe, splits, devices, target, options)
    })?;
    // Printed before saving, so that the figures are not lost if saving fails.
    let (what, name) = if recipe.probe.finetune { ("fine-tuned", "fine-tuning") } else { ("linear probe", "probe") };
    print_line(format!(
        "{name}: {} in {}; saving as {}",
        count_epochs(recipe.probe.epochs),
        duration(probed.seconds),
        target.weights().printable()
    ));
    let result = &probed.result;
    print_line(format!("train accuracy: {:.2} %", result.train.accuracy));
    print_line(format!("kNN-{} accuracy: {:.2} %", probed.neighbours, result.knn));
    print_line(format!("{what} test accuracy: {:.2} %", result.test.accuracy));
    probed.save()?;
    Ok(probed.result)
}

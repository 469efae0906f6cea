//! `qare test`: stage 3.

use qare_data::{DatasetName, Splits};
use qare_lab::PrintablePath;
use qare_lab::evaluation::test::test;
use qare_lab::images::Images;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::Checkpoint;
use qare_lab::{LabError, Result};

use super::{other_dataset, recipe_of, stated};
use crate::backend::{Device, NAME, Plain, device_for};
use crate::cli::TestArgs;
use crate::output::print_line;
use crate::progress::show;

pub fn test_command(args: TestArgs) -> Result<()> {
    let flags = &args.from;
    // A folder may hold several classifiers. The flags that were given to `probe` select one.
    let stage = if flags.checkpoint.is_dir() {
        let run = Checkpoint::of_run_or_file(&flags.checkpoint, &stated(flags))?.recipe;
        let mut requested = run.clone();
        requested.probe.dataset = other_dataset(&run, flags.dataset.or(run.probe.dataset));
        requested.probe.finetune = flags.finetune.unwrap_or(run.probe.finetune);
        requested.stage("probe")
    } else {
        String::new()
    };
    let checkpoint = Checkpoint::of_probe(&flags.checkpoint, &stage, &stated(flags))?;
    let recipe = recipe_of(&checkpoint, flags)?;
    recipe.validate()?;
    if let Some(dataset) = flags.dataset.filter(|dataset| *dataset != recipe.probed()) {
        return Err(LabError::Usage(format!(
            "--dataset {dataset}: the classifier of {} is for {}",
            checkpoint.file.printable(),
            recipe.probed()
        )));
    }
    if let Some(finetune) = flags.finetune.filter(|finetune| *finetune != recipe.probe.finetune) {
        return Err(LabError::Usage(format!(
            "--finetune {finetune}: {} holds a backbone that is {}",
            checkpoint.file.printable(),
            if recipe.probe.finetune { "fine-tuned" } else { "frozen" }
        )));
    }
    let of_run = &checkpoint.recipe;
    let trained = of_run.image_size.or(of_run.probed().side()).unwrap_or(qare_data::folder::SIDE);
    if let Some(size) = flags.image_size.filter(|size| *size != trained && !checkpoint.foreign) {
        return Err(LabError::Usage(format!(
            "--image-size {size}: the classifier of {} was trained on images of {trained}×{trained}; \
             train one for this size with `qare probe --image-size {size}`",
            checkpoint.file.printable()
        )));
    }
    if let Some(seed) = args.seed.filter(|seed| !checkpoint.foreign && *seed != recipe.seed) {
        return Err(LabError::Usage(format!(
            "--seed {seed}: {} has seed {}",
            checkpoint.file.printable(),
            recipe.seed
        )));
    }
    let device = device_for(flags.machine.device, recipe.main_device())?;
    recipe.precision.require::<Plain>(NAME, &device)?;
    let Images { splits, .. } = Images::for_probing(&recipe, &show)?;
    if let Some(dir) = recipe.data_dir.as_deref().filter(|_| recipe.probed() == DatasetName::Folder) {
        print_line(format!("note: testing on {} images in {}", splits.test.len(), dir.printable()));
    }
    test_and_record(&checkpoint, &recipe.stage("test"), &splits, &recipe, &device)
}

/// Tests the classifier of a checkpoint, prints loss and accuracy, and records them under a stage's name.
pub fn test_and_record(
    checkpoint: &Checkpoint,
    stage: &str,
    splits: &Splits,
    recipe: &Recipe,
    device: &Device,
) -> Result<()> {
    let tested = test::<Plain>(checkpoint, splits, recipe.precision, recipe.num_workers, device)?;
    print_line(format!("test loss: {:.4}", tested.evaluation.loss));
    print_line(format!("test accuracy: {:.2} %", tested.evaluation.accuracy));
    if let Some(note) = tested.record(stage)? {
        print_line(format!("note: {note}"));
    }
    Ok(())
}

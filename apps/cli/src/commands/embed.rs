//! `qare embed`: features of images, for use elsewhere.

use std::path::PathBuf;

use qare_data::{DatasetName, ImageSet};
use qare_lab::PrintablePath;
use qare_lab::evaluation::embedder::Space;
use qare_lab::export::embedding::{UNKNOWN, embed};
use qare_lab::export::{extension, is_another, trained_on, writable};
use qare_lab::images::Source;
use qare_lab::recipe::{SIZES, normalization};
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::{LabError, Result};

use super::{images_of_run, only_of_folder};
use crate::backend::{NAME, Plain, device_for};
use crate::cli::{EmbedArgs, Part};
use crate::output::print_line;
use crate::progress::show;

fn canonical(dir: &Option<PathBuf>) -> Option<PathBuf> {
    dir.as_ref().and_then(|dir| dir.canonicalize().ok())
}

/// Writes the features of a dataset's part, with labels and file names.
pub fn embed_command(args: EmbedArgs) -> Result<()> {
    let format = extension(&args.output);
    if !matches!(format.as_str(), "npy" | "safetensors") {
        return Err(LabError::Usage(format!(
            "--output {}: expected a name that ends in .npy or .safetensors",
            args.output.printable()
        )));
    }
    writable("--output", &args.output)?;
    let stated = Stated { dataset: args.trained_on.or(args.dataset), method: None, backbone: args.backbone };
    let checkpoint = Checkpoint::of_run_or_file(&args.checkpoint, &stated)?;
    is_another("--output", &args.output, &checkpoint)?;
    let recipe = &checkpoint.recipe;
    if let Some(size) = args.image_size.filter(|size| !SIZES.contains(size)) {
        let (least, most) = SIZES.into_inner();
        return Err(LabError::Usage(format!("--image-size {size}: it has to be from {least} to {most}")));
    }
    if let Some(backbone) = args.backbone.filter(|backbone| *backbone != recipe.backbone) {
        return Err(LabError::Usage(format!(
            "--backbone {backbone}: {} was trained with {}",
            checkpoint.file.printable(),
            recipe.backbone
        )));
    }
    let trained_on = trained_on(&checkpoint);
    if let Some(dataset) = args.trained_on.filter(|dataset| *dataset != trained_on) {
        return Err(LabError::Usage(format!(
            "--trained-on {dataset}: {} was trained on {trained_on}",
            checkpoint.file.printable()
        )));
    }
    let dataset = args.dataset.unwrap_or(recipe.dataset);
    if checkpoint.foreign && args.trained_on.is_none() {
        print_line(format!(
            "note: {} does not say what it was trained on: images are prepared as those of {dataset}; --trained-on names another dataset",
            checkpoint.file.printable()
        ));
    }
    let device = device_for(args.machine.device, recipe.main_device())?;
    let precision = args.precision.unwrap_or(recipe.precision);
    precision.require::<Plain>(NAME, &device)?;
    let data_dir = images_of_run(&checkpoint.file, args.machine.data_dir, recipe.data_dir.clone())?;
    // As a probe of the same images sees them, unless the call says what foreign weights expect.
    let normalization = match args.trained_on.filter(|_| checkpoint.foreign) {
        Some(stated) => stated.normalization(),
        None => normalization(dataset, trained_on),
    };
    // The run's division is that of its own folder of images, wherever that is now.
    let own = |dir: &PathBuf| dir.canonicalize().is_err() || dir.canonicalize().ok() == canonical(&data_dir);
    let of_run = || recipe.test_classes.clone().filter(|_| recipe.data_dir.as_ref().is_none_or(own));
    if let Some(classes) = &args.test_classes {
        only_of_folder(classes, dataset)?;
    }
    let test_classes = args.test_classes.or_else(of_run);
    let image_size = args.image_size.or(recipe.image_size).or(trained_on.side());
    let splits = Source {
        dataset,
        data_dir: data_dir.as_deref(),
        image_size,
        source_size: None,
        test_classes: test_classes.as_ref().filter(|_| dataset == DatasetName::Folder),
        skip_broken: args.machine.skip_broken || recipe.skip_broken,
        max_pixels: args.machine.max_pixels.or(recipe.max_pixels),
    }
    .load(&show)?;
    let parts: Vec<&ImageSet> = match args.split {
        Part::All => vec![&splits.train, &splits.test],
        Part::Train => vec![&splits.train],
        Part::Test => vec![&splits.test],
        Part::Unlabeled => match &splits.unlabeled {
            Some(images) => vec![images],
            None => {
                return Err(LabError::Usage(format!("--split unlabeled: {dataset} has no unlabelled images there")));
            }
        },
    };
    let parts: Vec<&ImageSet> = parts.into_iter().filter(|images| !images.is_empty()).collect();
    if parts.is_empty() {
        let split = format!("{:?}", args.split).to_lowercase();
        return Err(LabError::Usage(format!("--split {split}: {dataset} has no images there")));
    }

    let workers = args.machine.num_workers.unwrap_or(recipe.num_workers);
    let embedded = {
        let space = if args.features { Space::Features } else { Space::Embedding };
        embed::<Plain>(&checkpoint, &parts, normalization, (space, precision), workers, &device)?
    };
    match embedded.unlabelled() {
        0 => {}
        all if all == embedded.rows() => print_line("note: the images have no labels, and none are written"),
        some => {
            print_line(format!("note: {some} of the {} images have no label; {UNKNOWN} stands for it", embedded.rows()))
        }
    }
    match format.as_str() {
        "npy" => embedded.write_npy(&args.output)?,
        _ => embedded.write_safetensors(&args.output)?,
    }
    print_line(format!(
        "{} of {} images ({} dimensions) saved as {}",
        if embedded.what() == "embedding" { "embeddings" } else { "features" },
        embedded.rows(),
        embedded.dim(),
        args.output.printable()
    ));
    Ok(())
}

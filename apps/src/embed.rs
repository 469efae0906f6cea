//! `qare embed`: features of images, for use elsewhere.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use qare_data::ImageSet;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::backend::{Training, device_for};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::{EmbedArgs, Part};
use crate::commands::images_of_run;
use crate::error::{AppError, Result};
use crate::export::{extension, is_another, trained_on, writable};
use crate::features;
use crate::files::write_whole;
use crate::loading::Source;
use crate::npy::npy;
use crate::output::say;
use crate::recipe::SIZES;

type Inner = <Training as AutodiffBackend>::InnerBackend;

/// Writes the features of a dataset's part, with labels and file names.
pub fn embed(args: EmbedArgs) -> Result<()> {
    let format = extension(&args.output);
    if !matches!(format.as_str(), "npy" | "safetensors") {
        return Err(AppError::Usage(format!(
            "--output {}: expected a name that ends in .npy or .safetensors",
            args.output.display()
        )));
    }
    writable(&args.output)?;
    let stated = Stated { dataset: args.trained_on.or(args.dataset), method: None, backbone: args.backbone };
    let checkpoint = Checkpoint::of_run_or_file(&args.checkpoint, &stated)?;
    is_another(&args.output, &checkpoint)?;
    let recipe = &checkpoint.recipe;
    if let Some(size) = args.image_size.filter(|size| !SIZES.contains(size)) {
        let (least, most) = SIZES.into_inner();
        return Err(AppError::Usage(format!("--image-size {size}: it has to be from {least} to {most}")));
    }
    if let Some(backbone) = args.backbone.filter(|backbone| *backbone != recipe.backbone) {
        return Err(AppError::Usage(format!(
            "--backbone {backbone}: {} was trained with {}",
            checkpoint.file.display(),
            recipe.backbone
        )));
    }
    let trained_on = trained_on(&checkpoint);
    if let Some(dataset) = args.trained_on.filter(|dataset| *dataset != trained_on) {
        return Err(AppError::Usage(format!(
            "--trained-on {dataset}: {} was trained on {trained_on}",
            checkpoint.file.display()
        )));
    }
    let dataset = args.dataset.unwrap_or(recipe.dataset);
    if checkpoint.foreign && args.trained_on.is_none() {
        say(format!(
            "note: {} does not say what it was trained on; images are prepared as those of {dataset}, --trained-on names another",
            checkpoint.file.display()
        ));
    }
    let device = device_for(args.machine.device, recipe.main_device())?;
    let precision = args.precision.unwrap_or(recipe.precision);
    precision.require(&device)?;
    let data_dir = images_of_run(&checkpoint.file, args.machine.data_dir, recipe.data_dir.clone())?;
    // Images are made to look like those trained on: in size, and in what they are normalised with.
    let image_size = args.image_size.or(recipe.image_size).or(trained_on.side());
    let splits = Source {
        dataset,
        data_dir: data_dir.as_deref(),
        image_size,
        skip_broken: args.machine.skip_broken || recipe.skip_broken,
        max_pixels: args.machine.max_pixels.or(recipe.max_pixels),
    }
    .load()?;
    let parts: Vec<&ImageSet> = match args.split {
        Part::All => vec![&splits.train, &splits.test],
        Part::Train => vec![&splits.train],
        Part::Test => vec![&splits.test],
        Part::Unlabeled => match &splits.unlabeled {
            Some(images) => vec![images],
            None => {
                return Err(AppError::Usage(format!("--split unlabeled: {dataset} has no unlabelled images there")));
            }
        },
    };
    let parts: Vec<&ImageSet> = parts.into_iter().filter(|images| !images.is_empty()).collect();
    let Some(first) = parts.first() else {
        let split = format!("{:?}", args.split).to_lowercase();
        return Err(AppError::Usage(format!("--split {split}: {dataset} has no images there")));
    };

    let backbone = checkpoint.backbone::<Inner>(&device)?;
    let workers = args.machine.num_workers.unwrap_or(recipe.num_workers);
    let dim = backbone.feature_dim();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for images in &parts {
        let normalization = trained_on.normalization();
        let more = features::extract(&backbone, images, normalization, precision, workers, &device)?;
        values.extend(more.values);
        let label = |label: &u16| if images.is_labeled() { i64::from(*label) } else { UNKNOWN };
        labels.extend(more.labels.iter().map(label));
    }
    let labels = match labels.iter().filter(|label| **label == UNKNOWN).count() {
        0 => Some(labels),
        all if all == labels.len() => {
            say("note: the images have no labels, and none are written");
            None
        }
        some => {
            say(format!("note: {some} of the {} images have no label: theirs is {UNKNOWN}", labels.len()));
            Some(labels)
        }
    };
    // Of a part without labels the names of classes are those of nothing.
    let labelled = parts.iter().find(|images| images.is_labeled()).unwrap_or(first);
    let embedded =
        Embedded { values, dim, labels, class_names: labelled.class_names(), file_names: file_names(&parts) };
    match format.as_str() {
        "npy" => embedded.write_npy(&args.output)?,
        _ => write_whole(&args.output, &embedded.safetensors())?,
    }
    say(format!("features of {} images ({dim} dimensions) saved as {}", embedded.rows(), args.output.display()));
    Ok(())
}

/// The name of each image's file, where images have files.
fn file_names<'a>(parts: &[&'a ImageSet]) -> Option<Vec<&'a str>> {
    parts.iter().flat_map(|images| (0..images.len()).map(|index| images.file_name(index))).collect()
}

/// The label of an image whose class nobody knows.
const UNKNOWN: i64 = -1;

/// Features with what belongs to them.
struct Embedded<'a> {
    /// One row of `dim` values after the other.
    values: Vec<f32>,
    dim: usize,
    /// `None` if no image has one.
    labels: Option<Vec<i64>>,
    class_names: &'a [String],
    file_names: Option<Vec<&'a str>>,
}

impl Embedded<'_> {
    fn rows(&self) -> usize {
        self.values.len() / self.dim
    }

    /// `features` f32 `[N, F]` and, where there are labels, `labels` i64 `[N]` and the names of their classes as JSON in the
    /// metadata, where the names of the files are.
    fn safetensors(&self) -> Vec<u8> {
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let labels: Option<Vec<u8>> =
            self.labels.as_ref().map(|labels| labels.iter().flat_map(|label| label.to_le_bytes()).collect());
        let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).expect("the shape fits");
        let mut tensors = vec![("features", view(Dtype::F32, vec![self.rows(), self.dim], &values[..]))];
        let mut metadata = HashMap::new();
        if let Some(labels) = &labels {
            tensors.push(("labels", view(Dtype::I64, vec![self.rows()], labels)));
            metadata.insert("class_names".to_string(), json!(self.class_names).to_string());
        }
        if let Some(names) = &self.file_names {
            metadata.insert("file_names".to_string(), json!(names).to_string());
        }
        safetensors::serialize(tensors, Some(metadata)).expect("names and shapes make valid JSON")
    }

    /// The features as NAME.npy; where there are labels, they as NAME.labels.npy and a line with the name of each class as
    /// NAME.classes.txt; and a line with its file for each image as NAME.files.txt.
    fn write_npy(&self, path: &Path) -> Result<()> {
        let rows = self.rows() as u64;
        // A name with a line break would be two.
        let line = |name: &&str| name.replace(['\n', '\r'], "\u{fffd}");
        let lines =
            |lines: &[&str]| format!("{}\n", lines.iter().map(line).collect::<Vec<_>>().join("\n")).into_bytes();
        if let Some(labels) = &self.labels {
            write_whole(&path.with_extension("labels.npy"), &npy(&[rows], labels.iter().copied()))?;
            let names: Vec<&str> = self.class_names.iter().map(String::as_str).collect();
            write_whole(&path.with_extension("classes.txt"), &lines(&names))?;
        }
        if let Some(names) = &self.file_names {
            write_whole(&path.with_extension("files.txt"), &lines(names))?;
        }
        write_whole(path, &npy(&[rows, self.dim as u64], self.values.iter().copied()))
    }
}

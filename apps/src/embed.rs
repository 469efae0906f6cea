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
use crate::commands::load;
use crate::error::{AppError, Result};
use crate::export::{extension, trained_on, writable};
use crate::features::{self, Features};
use crate::files::{complain, say, write_whole};
use crate::npy::npy;

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
    let recipe = &checkpoint.recipe;
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
        complain(format!(
            "note: {} does not say what it was trained on; images are prepared as those of {dataset}, --trained-on names another",
            checkpoint.file.display()
        ));
    }
    let device = device_for(args.machine.device, recipe.main_device())?;
    let precision = args.precision.unwrap_or(recipe.precision);
    precision.require(&device)?;
    let data_dir = args.machine.data_dir.as_deref().or(recipe.data_dir.as_deref());
    // Images are made to look like those trained on: in size, and in what they are normalised with.
    let image_size = args.image_size.or(recipe.image_size).or(trained_on.side());
    let splits = load(dataset, data_dir, image_size)?;
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
    let mut features = Features { values: Vec::new(), dim: backbone.feature_dim(), labels: Vec::new() };
    for images in &parts {
        let normalization = trained_on.normalization();
        let more = features::extract(&backbone, images, normalization, precision, workers, &device)?;
        features.values.extend(more.values);
        features.labels.extend(more.labels);
    }
    let embedded = Embedded { features, class_names: first.class_names(), file_names: file_names(&parts) };
    match format.as_str() {
        "npy" => embedded.write_npy(&args.output)?,
        _ => write_whole(&args.output, &embedded.safetensors())?,
    }
    let features = &embedded.features;
    say(format!(
        "features of {} images ({} dimensions) saved as {}",
        features.len(),
        features.dim,
        args.output.display()
    ));
    Ok(())
}

/// The name of each image's file, where images have files.
fn file_names<'a>(parts: &[&'a ImageSet]) -> Option<Vec<&'a str>> {
    parts.iter().flat_map(|images| (0..images.len()).map(|index| images.file_name(index))).collect()
}

/// Features with what belongs to them.
struct Embedded<'a> {
    features: Features,
    class_names: &'a [String],
    file_names: Option<Vec<&'a str>>,
}

impl Embedded<'_> {
    /// `features` f32 `[N, F]` and `labels` i64 `[N]`; names of classes and files as JSON in the metadata.
    fn safetensors(&self) -> Vec<u8> {
        let Features { values, labels, dim } = &self.features;
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (rows, labels) = (labels.len(), labels.iter().flat_map(|label| i64::from(*label).to_le_bytes()));
        let labels: Vec<u8> = labels.collect();
        let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).expect("the shape fits");
        let tensors = [
            ("features", view(Dtype::F32, vec![rows, *dim], &values)),
            ("labels", view(Dtype::I64, vec![rows], &labels)),
        ];
        let mut metadata = HashMap::from([("class_names".to_string(), json!(self.class_names).to_string())]);
        if let Some(names) = &self.file_names {
            metadata.insert("file_names".to_string(), json!(names).to_string());
        }
        safetensors::serialize(tensors, Some(metadata)).expect("names and shapes make valid JSON")
    }

    /// The features as NAME.npy, the labels as NAME.labels.npy, and a line with its file for each image as NAME.files.txt.
    fn write_npy(&self, path: &Path) -> Result<()> {
        let Features { values, labels, dim } = &self.features;
        let rows = labels.len() as u64;
        let labels = labels.iter().map(|label| i64::from(*label));
        write_whole(&path.with_extension("labels.npy"), &npy(&[rows], labels))?;
        if let Some(names) = &self.file_names {
            write_whole(&path.with_extension("files.txt"), format!("{}\n", names.join("\n")).as_bytes())?;
        }
        write_whole(path, &npy(&[rows, *dim as u64], values.iter().copied()))
    }
}

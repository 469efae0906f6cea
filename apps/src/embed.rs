//! `qare embed`: features of images, for use elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::backend::AutodiffBackend;
use npyz::WriterBuilder;
use qare_data::ImageSet;
use safetensors::tensor::{Dtype, TensorView};

use crate::backend::{Training, device};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::{EmbedArgs, Part};
use crate::commands::load;
use crate::error::{AppError, Result};
use crate::export::extension;
use crate::features::{self, Features};
use crate::files::{say, write_whole};

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
    let stated = Stated { dataset: args.dataset, method: None, backbone: args.backbone };
    let checkpoint = Checkpoint::of_run_or_file(&args.checkpoint, &stated)?;
    let recipe = &checkpoint.recipe;
    if let Some(backbone) = args.backbone.filter(|backbone| *backbone != recipe.backbone) {
        return Err(AppError::Usage(format!(
            "--backbone {backbone}: {} was trained with {}",
            checkpoint.file.display(),
            recipe.backbone
        )));
    }
    let dataset = args.dataset.unwrap_or(recipe.dataset);
    let data_dir = args.machine.data_dir.as_deref().or(recipe.data_dir.as_deref());
    // Images are made to look like those trained on: in size, and in what they are normalised with.
    let image_size = args.image_size.or(recipe.image_size).or(recipe.dataset.side());
    let splits = load(dataset, data_dir, image_size)?;
    let images = match args.split {
        Part::Train => &splits.train,
        Part::Test => &splits.test,
        Part::Unlabeled => splits
            .unlabeled
            .as_ref()
            .ok_or_else(|| AppError::Usage(format!("--split unlabeled: {dataset} has no unlabelled images there")))?,
    };
    if images.is_empty() {
        return Err(AppError::Usage(format!("--split {:?}: {dataset} has no images there", args.split).to_lowercase()));
    }

    let device = device(args.machine.gpu.unwrap_or(recipe.gpu));
    let backbone = checkpoint.backbone::<Inner>(&device)?;
    let workers = args.machine.num_workers.unwrap_or(recipe.num_workers);
    let features = features::extract(&backbone, images, recipe.dataset.normalization(), workers, &device)?;
    match format.as_str() {
        "npy" => write_npy(&args.output, &features, images)?,
        _ => write_whole(&args.output, &safetensors_of(&features, images))?,
    }
    say(format!(
        "features of {} images ({} dimensions) saved as {}",
        features.len(),
        features.dim,
        args.output.display()
    ));
    Ok(())
}

/// The name of each image's file, as far as images have files.
fn file_names(images: &ImageSet) -> Option<Vec<&str>> {
    (0..images.len()).map(|index| images.file_name(index)).collect()
}

/// `features` f32 `[N, F]` and `labels` i64 `[N]`; names of classes and files as JSON in the metadata.
fn safetensors_of(features: &Features, images: &ImageSet) -> Vec<u8> {
    let values: Vec<u8> = features.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let labels: Vec<u8> = features.labels.iter().flat_map(|label| i64::from(*label).to_le_bytes()).collect();
    let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).expect("the shape fits");
    let tensors = [
        ("features", view(Dtype::F32, vec![features.len(), features.dim], &values)),
        ("labels", view(Dtype::I64, vec![features.len()], &labels)),
    ];
    let mut metadata =
        HashMap::from([("class_names".to_string(), serde_json::json!(images.class_names()).to_string())]);
    if let Some(names) = file_names(images) {
        metadata.insert("file_names".to_string(), serde_json::json!(names).to_string());
    }
    safetensors::serialize(tensors, Some(metadata)).expect("names and shapes make valid JSON")
}

/// The features as NAME.npy, the labels as NAME.labels.npy, and a line with its file for each image as NAME.files.txt.
fn write_npy(path: &Path, features: &Features, images: &ImageSet) -> Result<()> {
    let beside = |end: &str| -> PathBuf { path.with_extension(end) };
    let labels = features.labels.iter().map(|label| i64::from(*label));
    write_whole(&beside("labels.npy"), &npy(&[features.len() as u64], labels))?;
    if let Some(names) = file_names(images) {
        write_whole(&beside("files.txt"), format!("{}\n", names.join("\n")).as_bytes())?;
    }
    let shape = [features.len() as u64, features.dim as u64];
    write_whole(path, &npy(&shape, features.values.iter().copied()))
}

fn npy<T: npyz::Serialize + npyz::AutoSerialize>(shape: &[u64], values: impl Iterator<Item = T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes);
    let mut writer = options.begin_nd().expect("memory can be written");
    writer.extend(values).expect("memory can be written");
    writer.finish().expect("as many values as the shape says");
    bytes
}

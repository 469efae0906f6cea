//! Export of backbones and features for other programs, with the metadata needed to use them.

mod destination;
pub mod embedding;
mod facts;
mod format;
mod header;
mod npy;
mod onnx;
mod readme;

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use qare_data::DatasetName;
use qare_models::{named_tensors, record_bytes, safetensors_bytes};

pub use facts::trained_on;
pub(crate) use facts::without_paths;
pub use format::Format;
pub use onnx::Output;

use self::destination::Destination;
use self::facts::Facts;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint::{Checkpoint, Stated};
use crate::runs::files::{check_file, check_writable, folder_of};
use crate::runs::is_of_run;

/// The source and the destination of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions<'a> {
    /// A run folder or a weights file.
    pub checkpoint: &'a Path,
    /// A file whose name ends in a format, or a folder for a file and its README.
    pub output: &'a Path,
    /// The format, if the name of the output does not end in it.
    pub format: Option<Format>,
    /// The training dataset, for weights files that do not record it.
    pub trained_on: Option<DatasetName>,
    /// Height and width of the training images, for weights files that do not record it.
    pub image_size: Option<usize>,
    /// Whether the model must have a classifier. Of a run folder, that is the model of its linear probe.
    pub classifier: bool,
    /// Whether the model prepares its images.
    pub preprocessing: bool,
}

/// The result of an export.
pub struct Exported {
    /// The exported checkpoint.
    pub checkpoint: Checkpoint,
    /// The exported file.
    pub file: PathBuf,
    /// The path of the README that describes it.
    pub readme: PathBuf,
    /// Whether the export describes the preparation of images completely.
    pub tells_preparation: bool,
    /// The outputs of an ONNX model and the number of their columns.
    pub outputs: Vec<Output>,
}

/// Writes the backbone of a checkpoint, and a README. An ONNX model also has the embedding head and the classifier of the checkpoint. The
/// networks are loaded on `device`.
///
/// # Errors
/// If the checkpoint is damaged or contradicts the options, or a file cannot be written. No file is written or changed then.
pub fn export<B: Backend>(options: &ExportOptions, device: &B::Device) -> Result<Exported> {
    let ExportOptions { output, trained_on, image_size, classifier, preprocessing, .. } = *options;
    let destination = Destination::new(output, options.format)?;
    for (flag, given) in [("--classifier", classifier), ("--preprocessing", preprocessing)] {
        if given && destination.format != Format::Onnx {
            return Err(LabError::Usage(format!(
                "{flag}: expected --format onnx, since a file of the format {} holds the weights of the backbone alone",
                destination.format
            )));
        }
    }
    // Reading weights of another program needs a dataset, but any will do for the backbone.
    let stated = Stated { dataset: trained_on.or(Some(DatasetName::Cifar10)), ..Default::default() };
    let checkpoint = match classifier {
        true => Checkpoint::of_probe(options.checkpoint, "probe", &stated)?,
        false => Checkpoint::of_run_or_file(options.checkpoint, &stated)?,
    };
    if classifier && checkpoint.classifier_classes().is_none() {
        return Err(LabError::Usage(format!(
            "--classifier: {} does not say what its classes are; `qare probe --checkpoint {0}` trains a classifier",
            checkpoint.file.printable()
        )));
    }
    destination.check_replaced(&checkpoint)?;
    let facts = Facts::of(&checkpoint, trained_on, image_size)?;
    let name = destination.name();
    let mut outputs = Vec::new();
    let (bytes, text) = match destination.format {
        Format::Mpk => (record_bytes(&checkpoint.backbone::<B>(device)?), readme::of_record(&facts, &name)),
        Format::Safetensors => {
            let tensors = safetensors_bytes(&named_tensors(&checkpoint.backbone::<B>(device)?, ""), None);
            (header::with_metadata(&tensors, &facts.metadata(&checkpoint)), readme::of_safetensors(&facts, &name))
        }
        Format::Onnx => {
            let model = onnx::model::<B>(&checkpoint, &facts, preprocessing, device)?;
            let text = readme::of_onnx(&facts, &name, &model, checkpoint.classifier_classes());
            outputs = model.outputs;
            (model.bytes, text)
        }
    };
    destination.write(bytes, text)?;
    let tells_preparation = facts.size.is_some() && facts.normalization.is_some();
    let Destination { file, readme, .. } = destination;
    Ok(Exported { checkpoint, file, readme, tells_preparation, outputs })
}

/// Checks that an output file can be written, before any work is done for it. `flag` names it in messages.
///
/// # Errors
/// If `output` is a folder, its folder is missing or not writable, or the file belongs to a run.
pub fn writable(flag: &str, output: &Path) -> Result<()> {
    let folder = folder_of(output);
    let written = output.as_os_str().as_encoded_bytes();
    if written.ends_with(b"/") || written.ends_with(b"/.") || output.is_dir() || !folder.is_dir() {
        return Err(LabError::Usage(format!(
            "{flag} {}: expected the name of a file in a folder that exists",
            output.printable()
        )));
    }
    check_file(output)?;
    if is_of_run(output) {
        return Err(LabError::Usage(format!(
            "{flag} {}: this file belongs to a run and is not overwritten: choose another name",
            output.printable()
        )));
    }
    // The longest name of a part of the output.
    let longest = output.with_extension("classes.txt");
    check_writable(&longest).map_err(|error| {
        LabError::Usage(format!("{flag} {}: no file can be written there: {error}", output.printable()))
    })
}

/// Checks that the output file is not the weights file that is read. `flag` names it in messages.
///
/// # Errors
/// If both are the same file.
pub fn is_another(flag: &str, output: &Path, checkpoint: &Checkpoint) -> Result<()> {
    match (output.canonicalize(), checkpoint.file.canonicalize()) {
        (Ok(output), Ok(read)) if output == read => Err(LabError::Usage(format!(
            "{flag} {}: these are the weights that are read, and they are not overwritten: choose another name",
            output.printable()
        ))),
        _ => Ok(()),
    }
}

/// Returns the extension of a file name in lower case.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

//! Export of backbones and features for other programs, with the metadata needed to use them.

pub mod embedding;
mod facts;
mod header;
mod npy;
mod readme;

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use qare_data::DatasetName;
use qare_models::{named_tensors, record_bytes, safetensors_bytes};

pub use facts::trained_on;
pub(crate) use facts::without_paths;

use self::facts::Facts;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint::{Checkpoint, Stated};
use crate::runs::files::{check_file, check_writable, folder_of, write_together};
use crate::runs::is_of_run;

/// The source and the destination of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions<'a> {
    /// A run folder or a weights file.
    pub checkpoint: &'a Path,
    /// `FILE.safetensors`, for weights under PyTorch's names, or `FILE.mpk`, for a record of Burn.
    pub output: &'a Path,
    /// The training dataset, for weights files that do not record it.
    pub trained_on: Option<DatasetName>,
    /// Height and width of the training images, for weights files that do not record it.
    pub image_size: Option<usize>,
}

/// The result of an export.
pub struct Exported {
    /// The exported checkpoint.
    pub checkpoint: Checkpoint,
    /// The path of the README beside the export.
    pub readme: PathBuf,
    /// Whether the export describes the preparation of images completely.
    pub tells_preparation: bool,
}

/// Writes the backbone of a checkpoint, and a README beside it. The backbone is loaded on `device`.
///
/// # Errors
/// If the checkpoint is damaged or contradicts the options, or a file cannot be written.
pub fn export<B: Backend>(options: &ExportOptions, device: &B::Device) -> Result<Exported> {
    let ExportOptions { output, trained_on, image_size, .. } = *options;
    let format = extension(output);
    if !matches!(format.as_str(), "safetensors" | "mpk") {
        return Err(LabError::Usage(format!(
            "--output {}: expected a name that ends in .safetensors (PyTorch's names) or .mpk (a record of Burn)",
            output.printable()
        )));
    }
    writable("--output", output)?;
    let readme = readme_of(output);
    check_replaceable(&readme)?;
    // Reading weights of another program needs a dataset, but any will do for the backbone.
    let stated = Stated { dataset: trained_on.or(Some(DatasetName::Cifar10)), ..Default::default() };
    let checkpoint = Checkpoint::of_run_or_file(options.checkpoint, &stated)?;
    is_another("--output", output, &checkpoint)?;
    let facts = Facts::of(&checkpoint, trained_on, image_size)?;
    let backbone = checkpoint.backbone::<B>(device)?;
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let (bytes, text) = match format.as_str() {
        "mpk" => (record_bytes(&backbone), readme::of_record(&facts, &name)),
        _ => {
            let tensors = safetensors_bytes(&named_tensors(&backbone, ""), None);
            (header::with_metadata(&tensors, &facts.metadata(&checkpoint)), readme::of_safetensors(&facts, &name))
        }
    };
    write_together(&[(output.to_path_buf(), bytes), (readme.clone(), text.into_bytes())], &[])?;
    let tells_preparation = facts.size.is_some() && facts.normalization.is_some();
    Ok(Exported { checkpoint, readme, tells_preparation })
}

/// Returns the path of the README beside an export. It contains the full file name, so that two exports never share a README.
fn readme_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".README.md");
    output.with_file_name(name)
}

/// Checks that an existing README was written by an export, so that no other file is overwritten.
fn check_replaceable(readme: &Path) -> Result<()> {
    match std::fs::read(readme) {
        Ok(bytes) if !bytes.starts_with(readme::MARK.as_bytes()) => Err(LabError::Usage(format!(
            "{} exists and was not written by an export: move it away, or choose another --output",
            readme.printable()
        ))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::io("read", readme, error)),
        _ => Ok(()),
    }
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

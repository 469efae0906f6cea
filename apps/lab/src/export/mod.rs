//! Backbones and features for use elsewhere, with what it takes to use them.

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

use self::facts::Facts;
use crate::error::{LabError, Result};
use crate::runs::checkpoint::{Checkpoint, Stated};
use crate::runs::files::{check_writable, write_whole};
use crate::runs::run_folder::is_of_run;

/// What is to be exported, and where to.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions<'a> {
    /// A run folder, or a weights file.
    pub checkpoint: &'a Path,
    /// `FILE.safetensors`, for weights under PyTorch's names, or `FILE.mpk`, for a record of Burn.
    pub output: &'a Path,
    /// The dataset trained on, where the weights do not say it.
    pub trained_on: Option<DatasetName>,
    /// Height and width of the images trained on, where the weights do not say it.
    pub image_size: Option<usize>,
}

/// A backbone that has been exported.
pub struct Exported {
    /// What it was taken from.
    pub checkpoint: Checkpoint,
    /// The text about it.
    pub readme: PathBuf,
    /// Whether the export says how images are to be prepared.
    pub tells_preparation: bool,
}

/// Writes the backbone of a checkpoint, and a text about it beside. The backbone is on `device` meanwhile.
///
/// # Errors
/// If the checkpoint is damaged or says otherwise than the call, or a file cannot be written.
pub fn export<B: Backend>(options: &ExportOptions, device: &B::Device) -> Result<Exported> {
    let ExportOptions { output, trained_on, image_size, .. } = *options;
    let format = extension(output);
    if !matches!(format.as_str(), "safetensors" | "mpk") {
        return Err(LabError::Usage(format!(
            "--output {}: expected a name that ends in .safetensors (PyTorch's names) or .mpk (a record of Burn)",
            output.display()
        )));
    }
    writable(output)?;
    let readme = readme_of(output);
    replaceable(&readme)?;
    // Which dataset is of no consequence to reading a backbone.
    let stated = Stated { dataset: trained_on.or(Some(DatasetName::Cifar10)), ..Default::default() };
    let checkpoint = Checkpoint::of_run_or_file(options.checkpoint, &stated)?;
    is_another(output, &checkpoint)?;
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
    write_whole(output, &bytes)?;
    write_whole(&readme, text.as_bytes())?;
    let tells_preparation = facts.size.is_some() && facts.normalization.is_some();
    Ok(Exported { checkpoint, readme, tells_preparation })
}

/// The text beside an export, named after the whole of its name: two exports never share one.
fn readme_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".README.md");
    output.with_file_name(name)
}

/// Looks whether a text that is there already is of an export: that of a person stays.
fn replaceable(readme: &Path) -> Result<()> {
    match std::fs::read(readme) {
        Ok(bytes) if !bytes.starts_with(readme::MARK.as_bytes()) => Err(LabError::Usage(format!(
            "{} is there already and is not of an export: move it away, or name another --output",
            readme.display()
        ))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::io("read", readme, error)),
        _ => Ok(()),
    }
}

/// Looks whether a file can be put there, before the work for it is done.
pub fn writable(output: &Path) -> Result<()> {
    let folder = output.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if output.is_dir() || !folder.is_dir() {
        return Err(LabError::Usage(format!(
            "--output {}: expected the name of a file in a folder that exists",
            output.display()
        )));
    }
    if is_of_run(output) {
        return Err(LabError::Usage(format!(
            "--output {}: that is a file of a run, which stays: choose another name",
            output.display()
        )));
    }
    check_writable(folder).map_err(|error| {
        LabError::Usage(format!("--output {}: nothing can be written there: {error}", output.display()))
    })
}

/// Looks whether a file to be written is another than the weights that are read.
pub fn is_another(output: &Path, checkpoint: &Checkpoint) -> Result<()> {
    match (output.canonicalize(), checkpoint.file.canonicalize()) {
        (Ok(output), Ok(read)) if output == read => Err(LabError::Usage(format!(
            "--output {}: those are the weights that are read, which stay: choose another name",
            output.display()
        ))),
        _ => Ok(()),
    }
}

/// The end of a file's name, in small letters.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

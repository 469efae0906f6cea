//! `qare export`: a backbone for use elsewhere, with what it takes to use it.

mod facts;
mod header;
mod readme;

use std::path::{Path, PathBuf};

use burn::tensor::backend::AutodiffBackend;
use qare_models::{named_tensors, record_bytes, safetensors_bytes};

pub use facts::trained_on;

use self::facts::Facts;
use crate::backend::{Training, device_at_hand};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::ExportArgs;
use crate::error::{AppError, Result};
use crate::files::{check_writable, write_whole};
use crate::output::say;
use crate::run_folder::is_of_run;

type Inner = <Training as AutodiffBackend>::InnerBackend;

/// Writes the backbone of a checkpoint as safetensors under PyTorch's names, or as a record of Burn, and a text about it beside.
pub fn export(args: ExportArgs) -> Result<()> {
    let format = extension(&args.output);
    if !matches!(format.as_str(), "safetensors" | "mpk") {
        return Err(AppError::Usage(format!(
            "--output {}: expected a name that ends in .safetensors (PyTorch's names) or .mpk (a record of Burn)",
            args.output.display()
        )));
    }
    writable(&args.output)?;
    let readme = readme_of(&args.output);
    replaceable(&readme)?;
    // Which dataset is of no consequence to reading a backbone.
    let stated = Stated { dataset: args.trained_on.or(Some(qare_data::DatasetName::Cifar10)), ..Default::default() };
    let checkpoint = Checkpoint::of_run_or_file(&args.checkpoint, &stated)?;
    is_another(&args.output, &checkpoint)?;
    let facts = Facts::of(&checkpoint, args.trained_on, args.image_size)?;
    let backbone = checkpoint.backbone::<Inner>(&device_at_hand()?)?;
    let name = args.output.file_name().unwrap_or_default().to_string_lossy();
    let (bytes, text) = match format.as_str() {
        "mpk" => (record_bytes(&backbone), readme::of_record(&facts, &name)),
        _ => {
            let tensors = safetensors_bytes(&named_tensors(&backbone, ""), None);
            (header::with_metadata(&tensors, &facts.metadata(&checkpoint)), readme::of_safetensors(&facts, &name))
        }
    };
    write_whole(&args.output, &bytes)?;
    write_whole(&readme, text.as_bytes())?;
    if facts.size.is_none() || facts.normalization.is_none() {
        say(format!(
            "note: {} does not say how its images were prepared, and so the export does not: --trained-on and --image-size can",
            checkpoint.file.display()
        ));
    }
    say(format!(
        "{} of {} saved as {}, explained in {}",
        checkpoint.recipe.backbone,
        checkpoint.file.display(),
        args.output.display(),
        readme.display()
    ));
    Ok(())
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
        Ok(bytes) if !bytes.starts_with(readme::MARK.as_bytes()) => Err(AppError::Usage(format!(
            "{} is there already and is not of an export: move it away, or name another --output",
            readme.display()
        ))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(AppError::io("read", readme, error)),
        _ => Ok(()),
    }
}

/// Looks whether a file can be put there, before the work for it is done.
pub fn writable(output: &Path) -> Result<()> {
    let folder = output.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if output.is_dir() || !folder.is_dir() {
        return Err(AppError::Usage(format!(
            "--output {}: expected the name of a file in a folder that exists",
            output.display()
        )));
    }
    if is_of_run(output) {
        return Err(AppError::Usage(format!(
            "--output {}: that is a file of a run, which stays: choose another name",
            output.display()
        )));
    }
    check_writable(folder).map_err(|error| {
        AppError::Usage(format!("--output {}: nothing can be written there: {error}", output.display()))
    })
}

/// Looks whether a file to be written is another than the weights that are read.
pub fn is_another(output: &Path, checkpoint: &Checkpoint) -> Result<()> {
    match (output.canonicalize(), checkpoint.file.canonicalize()) {
        (Ok(output), Ok(read)) if output == read => Err(AppError::Usage(format!(
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

//! `qare export`: a backbone for use elsewhere.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use qare_models::{named_tensors, record_bytes, safetensors_bytes};

use crate::backend::{Training, device_at_hand};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::ExportArgs;
use crate::error::{AppError, Result};
use crate::files::write_whole;
use crate::output::say;

type Inner = <Training as AutodiffBackend>::InnerBackend;

/// Writes the backbone of a checkpoint as safetensors under PyTorch's names, or as a record of Burn.
pub fn export(args: ExportArgs) -> Result<()> {
    let format = extension(&args.output);
    if !matches!(format.as_str(), "safetensors" | "mpk") {
        return Err(AppError::Usage(format!(
            "--output {}: expected a name that ends in .safetensors (PyTorch's names) or .mpk (a record of Burn)",
            args.output.display()
        )));
    }
    writable(&args.output)?;
    // The dataset is of no consequence to a backbone.
    let stated = Stated { dataset: Some(qare_data::DatasetName::Cifar10), ..Default::default() };
    let checkpoint = Checkpoint::of_run_or_file(&args.checkpoint, &stated)?;
    let name = checkpoint.recipe.backbone;
    let backbone = checkpoint.backbone::<Inner>(&device_at_hand()?)?;
    let bytes = match format.as_str() {
        "mpk" => record_bytes(&backbone),
        _ => safetensors_bytes(&named_tensors(&backbone, ""), None),
    };
    write_whole(&args.output, &bytes)?;
    say(format!("{name} of {} saved as {}", checkpoint.file.display(), args.output.display()));
    Ok(())
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
    Ok(())
}

/// The end of a file's name, in small letters.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

//! Where an export goes: a file with its README beside it, or a folder of both.

use std::path::{Path, PathBuf};

use super::format::Format;
use super::readme::MARK;
use super::{extension, writable};
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files::{write_folder, write_together};

/// The files of an export.
#[derive(Debug)]
pub struct Destination {
    pub format: Format,
    /// The exported file.
    pub file: PathBuf,
    pub readme: PathBuf,
    /// The folder, if the export makes one.
    new_folder: Option<PathBuf>,
}

impl Destination {
    /// Interprets `--output` and `--format`: a name that ends in a format is that of a file, any other that of a folder.
    ///
    /// # Errors
    /// If the format is not known, or the files cannot be written or would replace files that no export wrote.
    pub fn new(output: &Path, format: Option<Format>) -> Result<Self> {
        let by_name = extension(output).parse::<Format>().ok();
        let destination = match (by_name, format) {
            (Some(named), Some(format)) if named != format => {
                return Err(LabError::Usage(format!(
                    "--output {}: expected a name that ends in .{format}, as the --format, or that of a folder",
                    output.printable()
                )));
            }
            (Some(format), _) => {
                writable("--output", output)?;
                Self { format, file: output.to_path_buf(), readme: readme_beside(output), new_folder: None }
            }
            (None, Some(format)) => Self::in_folder(output, format)?,
            (None, None) => {
                return Err(LabError::Usage(format!(
                    "--output {}: expected a name that ends in .safetensors (PyTorch's names), .onnx or .mpk (a record of Burn), or \
                     a folder and --format",
                    output.printable()
                )));
            }
        };
        check_replaceable(&destination.readme)?;
        Ok(destination)
    }

    fn in_folder(output: &Path, format: Format) -> Result<Self> {
        // Without a slash at the end.
        let folder: PathBuf = output.components().collect();
        if folder.exists() && !folder.is_dir() {
            return Err(LabError::Usage(format!(
                "--output {}: this is a file; expected a folder, or a name that ends in .{format}",
                output.printable()
            )));
        }
        if folder.join("recipe.toml").is_file() {
            return Err(LabError::Usage(format!(
                "--output {}: this is the folder of a run: choose another one",
                output.printable()
            )));
        }
        let file = folder.join(format!("backbone.{format}"));
        let exists = folder.is_dir();
        writable("--output", if exists { &file } else { &folder })?;
        let new_folder = (!exists).then(|| folder.clone());
        Ok(Self { format, file, readme: folder.join("README.md"), new_folder })
    }

    /// Returns the name of the exported file.
    pub fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Checks that the export replaces neither the weights file that is read nor a file that no export wrote.
    ///
    /// # Errors
    /// If it would.
    pub fn check_replaced(&self, checkpoint: &Checkpoint) -> Result<()> {
        super::is_another("--output", &self.file, checkpoint)?;
        // An export has its README beside it.
        if self.file.exists() && !self.readme.exists() { Err(not_of_an_export(&self.file)) } else { Ok(()) }
    }

    /// Writes both files, or none.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, exported: Vec<u8>, readme: String) -> Result<()> {
        let files = [(self.file.clone(), exported), (self.readme.clone(), readme.into_bytes())];
        match &self.new_folder {
            Some(folder) => write_folder(folder, &files),
            None => write_together(&files, &[]),
        }
    }
}

/// Returns the path of the README beside an export. It contains the full file name, so that two exports never share a README.
fn readme_beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".README.md");
    output.with_file_name(name)
}

fn not_of_an_export(path: &Path) -> LabError {
    LabError::Usage(format!(
        "{} exists and was not written by an export: move it away, or choose another --output",
        path.printable()
    ))
}

/// Checks that an existing README was written by an export, so that no other file is overwritten.
fn check_replaceable(readme: &Path) -> Result<()> {
    match std::fs::read(readme) {
        Ok(bytes) if !bytes.starts_with(MARK.as_bytes()) => Err(not_of_an_export(readme)),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::io("read", readme, error)),
        _ => Ok(()),
    }
}

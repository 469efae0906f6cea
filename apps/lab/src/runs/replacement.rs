//! Creating and replacing the folder of a run, with care for files that no run wrote.

use std::path::{Path, PathBuf};

use super::run_folder::RunFolder;
use crate::error::{LabError, Result};
use crate::loggers::is_own_log;
use crate::recipe::Recipe;
use crate::runs::files::{folder_of, is_part, write_whole};

/// Names of the files of a run besides weights and optimizer states.
const OWN_FILES: [&str; 4] = ["recipe.toml", "log.csv", "results.json", "latest.json"];

/// Whether an existing file belongs to a run: weights, files derived from weights, or records.
pub fn is_of_run(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let own = OWN_FILES.contains(&&*name) || is_own_log(&name) || name.contains("_epoch_");
    own && file.is_file() && folder_of(file).join("recipe.toml").is_file()
}

impl RunFolder {
    /// Creates the folder and writes the recipe. The path `out` of the recipe is made absolute.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn create(&self, recipe: &Recipe) -> Result<()> {
        self.write_recipe(recipe)?;
        // Finish a replacement that was killed.
        let replaced = self.replaced_path();
        if replaced.is_dir() { self.discard(&replaced) } else { Ok(()) }
    }

    fn write_recipe(&self, recipe: &Recipe) -> Result<()> {
        std::fs::create_dir_all(&self.path).map_err(|error| LabError::io("make the run folder", &self.path, error))?;
        self.remove_parts();
        let out = std::path::absolute(&recipe.out).unwrap_or_else(|_| recipe.out.clone());
        let recipe = Recipe { out, ..recipe.clone() };
        write_whole(&self.file("recipe.toml"), recipe.to_toml().as_bytes())
    }

    /// Whether the folder contains only temporary files of a run that was killed before it wrote its recipe.
    pub(super) fn has_only_own_parts(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own_part(&entry.path()))
    }

    /// Whether a file is a temporary file of a run. While the run is locked by this process, no other process writes it.
    fn is_own_part(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_run_name =
            OWN_FILES.iter().any(|own| name.starts_with(own)) || is_own_log(&name) || name.starts_with(&self.prefix);
        is_part(path) && is_run_name && path.is_file()
    }

    /// Whether a file was written by a run in this folder, with any seed.
    fn is_own(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_weights = name.starts_with(&self.prefix) && name.contains("_epoch_");
        let is_run_name = OWN_FILES.contains(&&*name) || is_own_log(&name) || is_weights;
        (is_run_name && path.is_file()) || self.is_own_part(path)
    }

    /// Whether the folder contains only files that were written by a run in it.
    pub(crate) fn has_only_own_files(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own(&entry.path()))
    }

    /// Returns the path to which a run is moved while it is replaced.
    fn replaced_path(&self) -> PathBuf {
        let name = self.path.file_name().expect("a run has a name").to_string_lossy();
        self.path.with_file_name(format!(".{name}.replaced"))
    }

    fn remove_parts(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if self.is_own_part(&entry.path()) {
                // A leftover file does no harm, so an error is ignored.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Replaces the run in the folder by a new one. The old run is deleted last, and files that no run wrote are kept.
    ///
    /// # Errors
    /// If a file cannot be moved, written or deleted.
    pub fn replace(&self, recipe: &Recipe) -> Result<()> {
        let real = self.path.canonicalize().map_err(|error| LabError::io("find", &self.path, error))?;
        if self.path.is_symlink() {
            // Replace the target of the link.
            return Self { path: real, ..self.clone() }.replace(recipe);
        }
        let replaced = self.replaced_path();
        if replaced.is_dir() {
            // Finish a replacement that was killed.
            self.discard(&replaced)?;
        }
        std::fs::rename(&self.path, &replaced).map_err(|error| LabError::io("move", &self.path, error))?;
        if let Err(error) = self.write_recipe(recipe) {
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::rename(&replaced, &self.path);
            return Err(error);
        }
        self.discard(&replaced)
    }

    /// Deletes a replaced run. Files that no run wrote are moved to the folder of the new run, under new names if necessary.
    fn discard(&self, replaced: &Path) -> Result<()> {
        for entry in std::fs::read_dir(replaced).map_err(|error| LabError::io("read", replaced, error))?.flatten() {
            let path = entry.path();
            if self.is_own(&path) {
                continue;
            }
            let name = entry.file_name();
            let numbered = (1..).map(|number| {
                let mut other = name.clone();
                other.push(format!(".{number}"));
                other
            });
            let targets = std::iter::once(name.clone()).chain(numbered).map(|name| self.path.join(name));
            let target =
                targets.into_iter().find(|target| target.symlink_metadata().is_err()).expect("some number is free");
            std::fs::rename(&path, target).map_err(|error| LabError::io("move", &path, error))?;
        }
        std::fs::remove_dir_all(replaced).map_err(|error| LabError::io("delete", replaced, error))
    }
}

//! A run folder that is locked for this process.

use qare_data::DatasetName;

use super::lock::Lock;
use super::records::recipe_in;
use super::run_folder::RunFolder;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;

/// Handling of an existing run in the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Keep it, and refuse to train.
    #[default]
    Refuse,
    /// Resume it after its last finished epoch. Without an existing run, start one.
    Resume,
    /// Delete it, and start again.
    Overwrite,
}

/// A run whose folder is checked, and locked for this process until the value is dropped.
#[derive(Debug)]
pub struct OpenRun {
    /// The recipe of the run. Its source size is set, if there is one.
    pub recipe: Recipe,
    /// The folder of the run.
    pub folder: RunFolder,
    /// The requested handling of an existing run.
    pub existing: Existing,
    /// Whether an existing run is resumed.
    pub resumed: bool,
    _lock: Lock,
}

impl OpenRun {
    /// Locks the run folder of a recipe. Writes nothing but the lock file.
    ///
    /// # Errors
    /// If another process holds the lock, `existing` forbids to change the existing run, or that run cannot resume with this recipe.
    pub fn of(recipe: &Recipe, existing: Existing) -> Result<Self> {
        const ADVICE: &str = "wait for it or stop it, or make another run with --id or --out";
        let folder = RunFolder::of(recipe);
        let lock = Lock::of_run(folder.path(), ADVICE)?;
        Self::locked(folder, lock, recipe, existing)
    }

    /// Opens a run in a folder that is already locked.
    ///
    /// # Errors
    /// The errors of [`OpenRun::of`].
    pub fn locked(folder: RunFolder, lock: Lock, recipe: &Recipe, existing: Existing) -> Result<Self> {
        let resumed = check_existing(&folder, recipe, existing)?;
        let recipe = recipe.with_source_size(if resumed { folder.recipe()? } else { None }.as_ref());
        Ok(Self { recipe, folder, existing, resumed, _lock: lock })
    }
}

/// Checks an existing run in the folder, and returns whether to resume it.
///
/// # Errors
/// If the folder exists and is not a run, the run must not be changed, or it cannot be resumed with this recipe.
fn check_existing(folder: &RunFolder, recipe: &Recipe, existing: Existing) -> Result<bool> {
    let resume = existing == Existing::Resume;
    if !folder.exists() && resume {
        check_not_moved(folder, recipe)?;
    }
    if !folder.exists() || (existing == Existing::Overwrite && folder.file("recipe.toml").is_file()) {
        return Ok(false);
    }
    let path = folder.path().printable();
    let Some(existing_recipe) = folder.recipe()? else {
        if folder.has_only_own_parts() {
            return Ok(false);
        }
        return Err(LabError::Usage(format!(
            "{path} exists and is not a run: nothing was changed; move it away, or choose another --out or --id"
        )));
    };
    let differences = recipe.differences(&existing_recipe);
    if !resume {
        let (described, resuming) = match &differences[..] {
            [] => (format!("seed {}", existing_recipe.seed), "--resume resumes it, "),
            // Other settings cannot resume the run.
            several => (several.join(", "), ""),
        };
        return Err(LabError::Usage(format!(
            "{path} holds a run already ({described}): nothing was changed; {resuming}--overwrite replaces it, --id or \
             --out starts another run"
        )));
    }
    if differences.is_empty() {
        return Ok(true);
    }
    Err(LabError::Usage(format!(
        "{path} cannot be resumed with other settings: {}; resume it with its own settings, or choose another --id",
        differences.join(", ")
    )))
}

/// Checks that no run of the same settings exists whose folder of images was moved to that of the recipe.
///
/// Such a run has another name, so it would not be found, and training would start again.
fn check_not_moved(folder: &RunFolder, recipe: &Recipe) -> Result<()> {
    let Some(images) = recipe.data_dir.as_deref().filter(|_| recipe.dataset == DatasetName::Folder) else {
        return Ok(());
    };
    let runs = std::fs::read_dir(&recipe.out).into_iter().flatten().flatten().map(|entry| entry.path());
    for run in runs {
        let Ok(Some(other)) = recipe_in(&run) else { continue };
        let Some(before) = other.data_dir.as_deref().filter(|dir| *dir != images && !dir.is_dir()) else { continue };
        if other.id == recipe.id && recipe.differences(&other).is_empty() {
            return Err(LabError::Usage(format!(
                "there is no run of the images in {} to resume, but {} is a run with the same settings of images in {}, a \
                 folder that no longer exists. If the images were moved, rename the run to {}, then resume it; otherwise \
                 choose another --id",
                images.printable(),
                run.printable(),
                before.printable(),
                folder.path.file_name().unwrap_or_default().to_string_lossy()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_a_killed_start_are_not_a_run() {
        let out = tempfile::tempdir().unwrap();
        let recipe = Recipe { out: out.path().into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        std::fs::create_dir(folder.path()).unwrap();
        let check = |existing| check_existing(&folder, &recipe, existing);
        for left in ["recipe.toml.part", "recipe.toml.17-0.part", "log.csv.17-1.part"] {
            std::fs::write(folder.file(left), "half").unwrap();
            for existing in [Existing::Refuse, Existing::Resume, Existing::Overwrite] {
                assert!(!check(existing).unwrap());
            }
        }
        folder.create(&recipe).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the recipe is left");
        std::fs::remove_file(folder.file("recipe.toml")).unwrap();
        std::fs::write(folder.file("thesis.part"), "irreplaceable").unwrap();
        assert!(check(Existing::Resume).unwrap_err().to_string().contains("is not a run"));
    }
}

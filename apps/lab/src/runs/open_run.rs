//! A run folder that is locked for this process.

use super::lock::Lock;
use super::run_folder::{RunFolder, check_existing};
use crate::error::Result;
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
    /// The recipe of the run.
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
        Ok(Self { recipe: recipe.clone(), folder, existing, resumed, _lock: lock })
    }
}

//! A run that this process may write.

use super::lock::Lock;
use super::run_folder::{RunFolder, settle_existing};
use crate::error::Result;
use crate::recipe::Recipe;

/// What to do about a run that is in the folder already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone, and refuse to train.
    #[default]
    Refuse,
    /// Go on after its last whole epoch; begin where there is none.
    Resume,
    /// Delete it, and begin anew.
    Overwrite,
}

/// A run's folder, locked for this process until this is dropped, and settled with what was there before.
#[derive(Debug)]
pub struct OpenRun {
    /// What is to be run.
    pub recipe: Recipe,
    /// Where.
    pub folder: RunFolder,
    /// What was asked for.
    pub existing: Existing,
    /// Whether a run is there that goes on.
    pub resumed: bool,
    _lock: Lock,
}

impl OpenRun {
    /// Locks the folder that a recipe's name and settings decide. Nothing is written yet but the lock.
    ///
    /// # Errors
    /// If another process holds it, or the run that is there is not to be touched or cannot go on with this recipe.
    pub fn of(recipe: &Recipe, existing: Existing) -> Result<Self> {
        const ADVICE: &str = "wait for it or stop it, or make another run with --id or --out";
        let folder = RunFolder::of(recipe);
        let lock = Lock::of_run(folder.path(), ADVICE)?;
        Self::locked(folder, lock, recipe, existing)
    }

    /// The same for a folder that is locked already.
    ///
    /// # Errors
    /// Those of [`OpenRun::of`].
    pub fn locked(folder: RunFolder, lock: Lock, recipe: &Recipe, existing: Existing) -> Result<Self> {
        let resumed = settle_existing(&folder, recipe, existing)?;
        Ok(Self { recipe: recipe.clone(), folder, existing, resumed, _lock: lock })
    }
}

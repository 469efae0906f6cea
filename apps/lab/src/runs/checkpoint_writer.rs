//! Writing the checkpoints of a run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use qare_models::NamedTensor;

use super::origin::{Origin, write_with_origin};
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::files::write_whole;
use crate::runs::records::Latest;
use crate::runs::run_folder::{RunFolder, milestones};
use crate::runs::run_record::RunRecord;
use crate::training::loss_scale::LossScale;

/// Returns the file with the state of the optimizer after the last finished epoch of a run.
///
/// # Errors
/// If the run has saved no state.
pub fn optimizer_file(folder: &RunFolder, latest: &Latest) -> Result<PathBuf> {
    latest.optimizer.as_deref().map(|name| folder.file(name)).ok_or_else(|| {
        LabError::Failed(format!(
            "{} names no file with the state of the optimizer, so the run cannot be resumed; --checkpoint {} starts another run \
             from its weights",
            folder.file("latest.json").printable(),
            folder.file(&latest.weights).printable()
        ))
    })
}

/// The state, besides the weights, that a run needs to resume.
pub struct Resumable<'a> {
    /// The optimizer's state.
    pub optimizer: &'a [u8],
    /// The loss scale of a run in f16.
    pub loss_scale: Option<LossScale>,
}

/// Writes the checkpoints of a run.
pub struct CheckpointWriter {
    /// The folder of the run.
    pub folder: RunFolder,
    /// The recipe of the run.
    pub recipe: Recipe,
    record: RunRecord,
    /// Epochs whose weights are kept.
    kept: Vec<usize>,
    /// Whether the record has been written.
    recorded: AtomicBool,
}

impl CheckpointWriter {
    /// Creates a writer. The record is written with the first saved epoch. If the run was extended, the weights kept by its shorter
    /// version stay.
    pub fn new(folder: &RunFolder, recipe: &Recipe, record: RunRecord) -> Self {
        let kept = record.epochs.iter().flat_map(|epochs| milestones(*epochs)).collect();
        Self { folder: folder.clone(), recipe: recipe.clone(), record, kept, recorded: AtomicBool::new(false) }
    }

    /// Returns the number of epochs before the last extension of the run, if there was one.
    pub fn epochs_before_extension(&self) -> Option<usize> {
        self.record.epochs.iter().rev().nth(1).copied()
    }

    /// Saves an epoch, and deletes the previous one unless its weights are kept.
    ///
    /// # Errors
    /// If a weight is NaN or infinite, or a file cannot be written.
    pub fn save(&self, epoch: usize, weights: &[NamedTensor], state: Option<Resumable>) -> Result<()> {
        let before = self.folder.latest()?;
        let name = self.folder.weights_name(epoch);
        let classes = self.record.classes.clone();
        let origin = Origin { recipe: self.recipe.to_toml(), epoch, foreign: false, classes };
        write_with_origin(&self.folder.file(&name), weights, origin)?;
        let mut latest = Latest { epoch, weights: name, optimizer: None, loss_scale: None };
        if let Some(state) = state {
            let name = self.folder.optimizer_name(epoch);
            write_whole(&self.folder.file(&name), state.optimizer)?;
            latest = Latest { optimizer: Some(name), loss_scale: state.loss_scale, ..latest };
        }
        if !self.recorded.load(Ordering::Relaxed) {
            self.record.write(&self.folder)?;
            self.recorded.store(true, Ordering::Relaxed);
        }
        self.folder.set_latest(&latest)?;

        if let Some(before) = before.filter(|before| before.epoch != epoch && !self.kept.contains(&before.epoch)) {
            for name in [Some(before.weights), before.optimizer].into_iter().flatten() {
                // A leftover file does no harm, so an error is ignored.
                let _ = std::fs::remove_file(self.folder.file(&name));
            }
        }
        Ok(())
    }
}

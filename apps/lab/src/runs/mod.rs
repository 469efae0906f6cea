//! Run folders: their files, their locks, and checkpoints.

pub mod checkpoint;
pub mod epoch_log;
pub mod files;
pub mod lock;
pub mod open_run;
pub mod run_folder;
pub mod run_record;

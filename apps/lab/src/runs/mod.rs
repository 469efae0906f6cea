//! Run folders: their files, their locks, and checkpoints.

pub mod checkpoint;
pub mod checkpoint_writer;
pub mod epoch_log;
pub mod files;
pub mod listing;
pub mod lock;
pub mod log_table;
pub mod open_run;
mod origin;
pub mod records;
mod replacement;
pub mod run_folder;
pub mod run_record;
pub mod stage_figures;
pub mod starting_weights;

pub use replacement::is_of_run;

//! Run folders: what is in them, who may write there, and weights with where they come from.

pub mod checkpoint;
pub mod epoch_log;
pub mod files;
pub mod lock;
pub mod open_run;
pub mod run_folder;
pub mod run_record;

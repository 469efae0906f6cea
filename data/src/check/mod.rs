//! Checks a folder: which datasets it contains, whether they are complete, and everything that is wrong with them.

mod class_disjoint;
mod image_files;
mod options;
pub mod report;
mod search;

pub use options::CheckOptions;
pub use search::{check, check_with};

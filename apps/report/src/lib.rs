#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod analysis;
mod comparison;
mod contact_sheet;
mod error;
mod escape;
mod groups;
mod html;
mod number;
mod picture;
#[cfg(test)]
mod random;
mod report;
mod svg;

pub use comparison::{Series, comparison};
pub use contact_sheet::{ContactSheet, Shown};
pub use error::{ReportError, Result};
pub use picture::{Pictures, interleaved, png};
pub use report::{Detail, MapOfImages, Query, Report, Run};
pub use svg::Plot;

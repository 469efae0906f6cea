#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod candidates;
mod error;
mod figures;
mod labelled_rows;
mod nearest;
mod nmi;
mod ranking;
mod ranks;
mod unit_rows;

pub use error::RetrievalError;
pub use figures::{QueryFigures, Summary};
pub use labelled_rows::LabelledRows;
pub use nearest::{Neighbour, nearest, nearest_across_cameras, nearest_others};
pub use nmi::normalized_mutual_information;
pub use ranking::{rank, rank_across_cameras, rank_among_others};

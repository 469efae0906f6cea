//! Self-supervised training and evaluation, from images to an accuracy, generic over Burn's backends.
//!
//! | module | contents |
//! |---|---|
//! | [`recipe`] | the settings of a run: reading TOML, and validation |
//! | [`methods`] | the trait [`Pretext`](methods::Pretext), and the built-in methods |
//! | [`training`] | the training loop, its state, optimizers, training on several devices |
//! | [`evaluation`] | frozen features, kNN, linear probe, fine-tuning, test, retrieval |
//! | [`loggers`] | files that training is logged to, besides `log.csv`: JSON lines, TensorBoard |
//! | [`runs`] | run folders: recipe, log, results, checkpoints, locks |
//! | [`card`](mod@card) | the model card of a run |
//! | [`images`] | the images that a recipe names |
//! | [`export`] | backbones and features for use in other programs |
//!
//! The library prints nothing. Notes and warnings go to the [`log`] facade, long operations report to
//! [`OnProgress`](progress::OnProgress), and figures are returned.

#![warn(missing_docs)]

pub mod card;
pub mod error;
pub mod evaluation;
pub mod export;
pub mod images;
pub mod loggers;
mod markdown;
pub mod methods;
mod nearest_name;
pub mod precision;
mod printable_path;
pub mod progress;
pub mod recipe;
pub mod runs;
pub mod sweep_table;
#[cfg(test)]
mod test_backend;
pub mod training;
mod version;

pub use error::{LabError, Result};
pub use printable_path::PrintablePath;
pub use version::{COMMIT, VERSION};

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

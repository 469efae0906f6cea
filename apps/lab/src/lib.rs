//! Self-supervised training and its evaluation, from images to an accuracy, generic over Burn's backends.
//!
//! | module | what is there |
//! |---|---|
//! | [`recipe`] | a run described by one value: TOML, and its checks |
//! | [`methods`] | the trait [`Pretext`](methods::Pretext), and the methods that come with it |
//! | [`training`] | the one training loop, its state, optimizers, several devices |
//! | [`evaluation`] | frozen features, kNN, linear probe, fine-tuning, test |
//! | [`runs`] | run folders: recipe, log, results, checkpoints, locks |
//! | [`images`] | the images that a recipe names |
//! | [`export`] | backbones and features for use elsewhere |
//!
//! Nothing here prints. What a person may want to know goes to the [`log`] facade, work that takes a while reports to
//! [`OnProgress`](progress::OnProgress), and figures are returned.

#![warn(missing_docs)]

pub mod error;
pub mod evaluation;
pub mod export;
pub mod images;
pub mod methods;
pub mod precision;
pub mod progress;
pub mod recipe;
pub mod runs;
pub mod sweep_table;
#[cfg(test)]
mod test_backend;
pub mod training;
mod version;

pub use error::{LabError, Result};
pub use version::{COMMIT, VERSION};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

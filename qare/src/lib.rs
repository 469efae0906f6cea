//! Set-contrastive objectives for [Burn](https://burn.dev), generic over its `Backend`.
//!
//! | objective | type | source |
//! |---|---|---|
//! | NT-Xent | [`NtXent`] | SimCLR, Chen et al. 2020 |
//! | SparseCLR | [`SparseClr`] | Moskalev et al., ECCV 2022, on SparseMAP (Niculae et al. 2018) |
//! | QARe | [`Qare`] | Moskalev et al., ECCV 2022, on the bound of Finke, Burkard and Rendl (1987) |
//! | QARe by norms | [`Qare`] with a [`SetTerm`] | the norms that bound its spectra |
//! | α·pairwise + β·QARe | [`ContrastiveObjective`] | Moskalev et al., ECCV 2022 |
//! | losses with labels, and loss + β·QARe | [`metric`] | |
//!
//! Those of views take embeddings `[K·B, D]` (K views of each of B images) and a [`Views`], which alone knows
//! the order of the rows; `forward_pair` takes two views `[B, D]`, `forward_stacked` embeddings `[B, K, D]`. Losses are computed in f32 or, on embeddings of f64, in f64: embeddings of f16 or bf16 are cast to f32,
//! the loss is f32, and the gradient of the embeddings is of their own type. (Its entries are small: with f16, multiply the loss
//! by a scale that keeps them above 6e-8, and divide the gradients of the weights by it.)
//!
//! Embeddings may be of any finite length, from subnormal numbers to the largest, and of different lengths within a batch: the losses
//! are those of their directions, but for what the floors under lengths (1e-12) and products of lengths (1e-8) make of short
//! ones. Gradients go with one over the length, rounded to what the type of the embeddings can hold: at a length of 1e38 those of
//! f32 are subnormal, or zero. What has no loss is an [`ObjectiveError`] that names its source: NaN and infinity by their row.
//!
//! Training with one of them is three lines:
//!
//! ```
//! use burn_flex::Flex;
//! use burn::{backend::Autodiff, tensor::{Distribution, Tensor}};
//! use qare::{ContrastiveObjectiveConfig, Views};
//!
//! type B = Autodiff<Flex>;
//! let device = Default::default();
//! let embeddings = Tensor::<B, 2>::random([2 * 16, 64], Distribution::Default, &device).require_grad();
//! let objective = ContrastiveObjectiveConfig::sparseclr_qare(1.0, 0.5).init()?;
//! let output = objective.forward(embeddings.clone(), Views::PAIR)?;
//! let gradient = embeddings.grad(&output.loss.backward()).unwrap();
//! assert_eq!(gradient.dims(), [32, 64]);
//! # Ok::<(), qare::ObjectiveError>(())
//! ```

#![warn(missing_docs)]

mod contrast;
mod error;
mod gradient;
#[cfg(feature = "host")]
mod host;
#[cfg(not(feature = "host"))]
#[path = "host_left_out.rs"]
mod host;
#[cfg(feature = "cubecl")]
mod in_kernels;
mod inspection;
#[cfg(any(test, not(feature = "host")))]
mod jacobi;
mod labelled;
mod layouts;
pub mod metric;
mod nt_xent;
mod objective;
mod qare;
mod range;
mod rounding;
mod set_term;
mod similarity;
mod sparse_clr;
mod sparsemax;
mod spectrum;
mod summation;
mod temperature;
mod term;
mod views;

pub use error::ObjectiveError;
pub use nt_xent::{NtXent, NtXentConfig, NtXentReduction};
pub use objective::{ContrastiveObjective, ContrastiveObjectiveConfig, ObjectiveOutput, PairwiseConfig, PairwiseTerm};
pub use qare::{Qare, QareConfig, SimilarityFloor};
pub use set_term::SetTerm;
pub use similarity::{NORM_FLOOR, SIMILARITY_FLOOR, Similarity};
pub use sparse_clr::{SparseClr, SparseClrConfig};
pub use sparsemax::{sparsemax, sparsemax_support};
pub use spectrum::{SymmetricEigen, symmetric_eigen};
pub use views::Views;

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod aberth;
mod aligned;
mod bisection;
mod decomposition;
mod divide;
mod error;
mod householder;
mod microkernel;
mod packed;
mod panels;
mod params;
mod reduction;
mod scaling;
mod secular;
mod simd;
mod slices;
mod sturm;
mod tridiagonal;
mod twisted;

pub use decomposition::{Decomposition, WeightedEigenvectors};
pub use error::EigenError;
pub use packed::PackedSymmetric;
pub use panels::Panels;
pub use params::EigenParams;
pub use slices::{Eigen, eigen, eigen_into, eigenvalues, eigenvalues_into};

/// Runs `f` on a thread of rayon's pool if the matrix is of an order for which there are tasks: going in and out for each takes longer
/// than they do.
fn in_pool<R: Send>(order: usize, f: impl FnOnce() -> R + Send) -> R {
    if order > microkernel::WIDTH { rayon::scope(|_| f()) } else { f() }
}

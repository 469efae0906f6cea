#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod attachment;
mod backends;
mod call;
// The macros of CubeCL write functions and types without docs.
#[allow(missing_docs)]
mod kernels;
mod launch;
mod launch_of_adam;
mod launch_of_rows;
mod product;
mod registry;

pub use backends::KernelBackend;
pub use call::{Adam, Call, Correction, CosineGradient, Fold, Normalize, NtXent, Patches, SparseClr};
pub use registry::{attach_if_registered, is_registered, register, run_if_registered};

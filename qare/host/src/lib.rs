#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod by_backend;
mod dispatch;
mod host_backend;

pub use by_backend::ByBackend;
pub use dispatch::{HostOperation, dispatch};
pub use host_backend::{FloatPrimitive, HostBackend, computes_on_host, primitive, tensor};

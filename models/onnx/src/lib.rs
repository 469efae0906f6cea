//! ONNX models, written node by node: [`Graph`] collects nodes and constants, and
//! [`into_model`](Graph::into_model) returns the bytes of a `.onnx` file.
//!
//! [`proto`] has the messages of the format that a graph needs, to write and to read them. Other crates for ONNX bring a protobuf
//! compiler at build time, all messages of the format, or a runtime.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod graph;
mod operators;
pub mod proto;

pub use graph::{Attribute, Dim, Element, Graph, Number, Value};
pub use operators::{ConvSizes, Normalization};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

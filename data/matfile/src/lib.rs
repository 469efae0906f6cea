//! Reads [MAT-files](https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf) of version 5, which MATLAB's `save` with `-v6` or
//! `-v7` and SciPy's `savemat` write.
//!
//! [`MatFile::read`] reads all variables. An [`Array`] holds numbers, text, cells or structs; others, such as sparse arrays, are
//! skipped. Files of version 7.3 are HDF5 files, and those of version 4 have another layout: both are errors.
//!
//! A small file can describe large contents: compressed variables shrink to a thousandth. So the contents have a limit, memory is at
//! most 16 bytes for each of their bytes, and arrays nest at most [`DEPTH`] deep.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod array;
mod contents;
mod element;
mod error;
mod file;

pub use array::{Array, Value};
pub use contents::DEPTH;
pub use error::MatError;
pub use file::MatFile;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

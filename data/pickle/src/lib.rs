//! Reads [pickles](https://docs.python.org/3/library/pickle.html) of Python, protocols 0 to 5, as data.
//!
//! A pickle is a program for a stack machine. Python's machine calls whatever the program names; this one records what
//! would be called. A NumPy array, for example, is the [`Object`] of a call to `numpy.core.multiarray._reconstruct` whose
//! `state` holds the shape and the bytes of the array.
//!
//! ```
//! use qare_pickle::{Pickle, Value};
//!
//! let pickle = Pickle::read(b"\x80\x02}X\x01\x00\x00\x00a(K\x01K\x02ts.", 1000)?;
//! let pair = pickle.entry(pickle.root(), "a").unwrap();
//! assert_eq!(pickle.items(pair), Some(&[Value::Int(1), Value::Int(2)][..]));
//! # Ok::<(), qare_pickle::PickleError>(())
//! ```
//!
//! A small pickle can describe a huge structure: lists nested a million deep, or 60 lists that each hold the one before
//! twice. So a [`Value`] is 16 bytes that name a container instead of holding it, text stays in the file, and nothing
//! recurses. Reading takes time linear in the length of the pickle; memory is bounded by that length (at most 300 bytes a
//! byte) and by the limit given to [`Pickle::read`]. Containers may hold themselves: whoever walks through values has to
//! bound the walk.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod escapes;
mod machine;
mod memory;
mod pickle;
mod program;
mod value;

pub use error::PickleError;
pub use pickle::Pickle;
pub use value::{Index, Object, Persistent, Span, Value};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Contrastive views that a device computes for a whole batch, equal to those of the host.
//!
//! The host draws the choices of each view as it does for its own views, and writes them and the raw images into a
//! [`ContrastiveTable`]. [`contrastive_views`] uploads the table in two tensors and computes all views as batched tensor operations
//! of any Burn backend. It reads nothing back.
//!
//! # Arithmetic
//!
//! A view is a chain of operations that round to 8 bits, and later operations magnify a difference of one step. The device therefore
//! computes the same bytes as the host, on hardware with other habits: GPUs contract a product and a sum into one rounding, divide
//! inexactly, and multiply matrices in TF32, whose ten bits of mantissa lose half a step of 8 bits. Every operation here is an
//! elementwise one in `f32`, each of whose intermediate results is an integer below 2²⁴ or a dyadic fraction with as few bits, which
//! no contraction changes, with three exceptions:
//!
//! - The product of a blend rounds as the host's, and so does the sum after it: between them stands a clamp that changes no value, over
//!   which no compiler contracts them.
//! - A quotient is only used for its integer part, with a margin above the error of an inexact division.
//! - The normalisation at the end rounds to the last bits of an `f32`.
//!
//! The kernels that Burn fuses have no `floor` and no bit operations, but a remainder; integer parts are computed with it.

mod color;
mod hue;
mod integer_part;
mod resize;
mod schedule;
mod table;
mod views;

pub use table::ContrastiveTable;
pub use views::contrastive_views;

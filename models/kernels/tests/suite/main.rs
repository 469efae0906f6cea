//! The kernels against literal computations in f64.

mod approx;
mod cases;
mod finite_differences;
mod linear_rows;
mod max_pooling;
mod memory;
mod oracle;
mod rejects;
mod stages;
#[path = "../../src/winograd_bound.rs"]
mod winograd_bound;
mod wrong_calls;

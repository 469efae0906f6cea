//! The kernels against literal computations in f64.

mod approx;
mod cases;
mod finite_differences;
mod max_pooling;
mod memory;
mod oracle;
mod rejects;
mod stages;
mod wrong_calls;

//! One binary: every test program here would otherwise instantiate both backends again.

mod cases;
mod degenerate;
mod evaluation;
mod example;
mod floorless;
#[cfg(feature = "host")]
mod fused;
mod golden;
mod golden_on_cpu;
mod half_precision;
mod half_precision_bounds;
mod labels;
mod metric;
mod objectives;
mod oracle;
mod scales;
mod set_term_degenerate;
mod set_term_properties;
mod set_terms;
mod set_terms_of_matrices;
mod sparsemax_properties;
mod spectra;
mod thresholds;

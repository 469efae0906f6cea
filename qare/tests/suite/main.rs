//! One binary: every test program here would otherwise instantiate both backends again.

mod example;
mod floorless;
mod fused;
mod golden;
mod half_precision;
mod objectives;
mod oracle;

//! One binary: every test program here would otherwise instantiate both backends again.

mod batch_norm;
mod golden_backbone;
mod initial_weights;
mod numbers;
mod weights_files;

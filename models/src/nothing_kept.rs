//! What stands for kept weights where there are no kernels of the CPU, so that evaluations need not ask.

/// While a value of this type exists, convolutions in evaluation on the CPU keep their arranged weights. Without the features `flex` and
/// `ndarray` nothing is arranged.
#[derive(Debug)]
#[must_use = "weights are kept as long as this lives"]
pub struct KeptWeights(());

/// Keeps arranged weights until the result is dropped.
pub fn keep_weights() -> KeptWeights {
    KeptWeights(())
}

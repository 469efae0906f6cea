//! The example runs, and learns.

#[allow(unused)] // its `main` is the example's own
#[path = "../../examples/qare_regularizer.rs"]
mod qare_regularizer;

#[test]
fn qare_regularizer_learns() {
    let losses = qare_regularizer::train(60);
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert!(losses[59] < 0.8 * losses[0], "{} -> {}", losses[0], losses[59]);
}

//! The golden values on both CPU backends.

use burn::backend::Autodiff;

use crate::golden;

#[test]
fn losses_agree_on_flex() {
    golden::losses::<Autodiff<burn_flex::Flex>>(golden::SINGLE);
}

#[test]
fn losses_agree_on_ndarray() {
    golden::losses::<Autodiff<burn_ndarray::NdArray>>(golden::SINGLE);
}

#[test]
fn set_terms_agree_on_flex() {
    golden::set_terms::<Autodiff<burn_flex::Flex>>(golden::SINGLE);
}

#[test]
fn set_terms_agree_on_ndarray() {
    golden::set_terms::<Autodiff<burn_ndarray::NdArray>>(golden::SINGLE);
}

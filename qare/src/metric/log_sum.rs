use burn::tensor::{Tensor, backend::Backend};

use crate::summation::sum_rows;

/// log(1 + Σ exp x), with its derivatives.
pub(super) struct LogOnePlusSum<B: Backend> {
    /// `[N, 1]` or `[1, M]`.
    pub value: Tensor<B, 2>,
    /// exp x / (1 + Σ exp x) `[N, M]`.
    pub slopes: Tensor<B, 2>,
}

impl<B: Backend> LogOnePlusSum<B> {
    /// Of `x` `[N, M]` along dimension `along`. An entry of −∞ counts for nothing; where there is no other, the value is 0.
    ///
    /// Nothing overflows, and small sums keep their digits.
    pub fn of(x: Tensor<B, 2>, along: usize) -> Self {
        let top = x.clone().max_dim(along).clamp_min(0.0);
        let exponentials = (x - top.clone()).exp();
        let sum = if along == 1 { sum_rows(exponentials.clone()) } else { exponentials.clone().sum_dim(along) };
        let rest = sum + (top.clone().neg().exp() - 1.0); // exp(−top)(1 + Σ exp x) − 1
        Self { value: top + rest.clone().log1p(), slopes: exponentials / (rest + 1.0) }
    }

    /// Of each entry of `x` by itself: log(1 + exp x) and σ(x), both `[N, M]`. Of −∞ both are 0.
    pub fn of_each(x: Tensor<B, 2>) -> Self {
        let small = x.clone().abs().neg().exp();
        let value = x.clone().clamp_min(0.0) + small.clone().log1p();
        Self { value, slopes: x.clamp_max(0.0).exp() / (small + 1.0) }
    }
}

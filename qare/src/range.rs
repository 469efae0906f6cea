//! Rows of any finite length, brought to where their squares are in range.

use burn::tensor::{DType, Tensor, backend::Backend};

/// Powers of two that bring rows to where the squares of their entries neither overflow nor vanish. Rows in between, which are
/// the usual ones, are left alone to the last bit. Even exponents: the roots are powers of two as well.
struct Powers {
    /// Rows whose largest entry is above the first get the second, in ascending order.
    large: [(f64, f64); 2],
    /// Rows whose largest entry is not above the first get the second, in descending order.
    small: [(f64, f64); 2],
}

const SINGLE: Powers = Powers {
    large: [(power_of_two(32), power_of_two(-64)), (power_of_two(96), power_of_two(-112))],
    small: [(power_of_two(-32), power_of_two(64)), (power_of_two(-96), power_of_two(120))],
};

const DOUBLE: Powers = Powers {
    large: [(power_of_two(256), power_of_two(-512)), (power_of_two(768), power_of_two(-896))],
    small: [(power_of_two(-256), power_of_two(512)), (power_of_two(-768), power_of_two(1000))],
};

/// 2^exponent, for exponents from −1022 to 1023.
pub(crate) const fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The powers of two that bring numbers of a size to where squares are in range.
pub(crate) struct Scale<B: Backend> {
    /// By which to multiply, of the shape of the sizes.
    pub scale: Tensor<B, 3>,
    /// scale^−½.
    pub root_unit: Tensor<B, 3>,
}

impl<B: Backend> Scale<B> {
    /// For numbers as large as `largest`, in magnitude, each.
    pub fn of(largest: Tensor<B, 3>, dtype: DType) -> Self {
        let powers = if dtype == DType::F64 { DOUBLE } else { SINGLE };
        let (mut scale, mut root_unit) = (Tensor::ones_like(&largest), Tensor::ones_like(&largest));
        let beyond = powers.large.map(|(limit, power)| (largest.clone().greater_elem(limit), power));
        let within = powers.small.map(|(limit, power)| (largest.clone().lower_equal_elem(limit), power));
        for (mask, power) in beyond.into_iter().chain(within) {
            scale = scale.mask_fill(mask.clone(), power);
            root_unit = root_unit.mask_fill(mask, 1.0 / power.sqrt());
        }
        Self { scale, root_unit }
    }
}

/// The lengths of rows, each in a unit of its own, off the graph: ‖z‖ = norms / scale.
pub(crate) struct RowScale<B: Backend> {
    /// The power of two that a row is to be multiplied by `[S, N, 1]`.
    pub scale: Tensor<B, 3>,
    /// scale^−½ `[S, N, 1]`.
    pub root_unit: Tensor<B, 3>,
    /// ‖scale · z‖ `[S, N, 1]`.
    pub norms: Tensor<B, 3>,
}

impl<B: Backend> RowScale<B> {
    /// Of rows `[S, N, D]`.
    pub fn of(rows: &Tensor<B, 3>) -> Self {
        let rows = rows.clone().detach();
        let Scale { scale, root_unit } = Scale::of(rows.clone().abs().max_dim(2), rows.dtype());
        let scaled = rows * scale.clone();
        let norms = (scaled.clone() * scaled).sum_dim(2).sqrt();
        Self { scale, root_unit, norms }
    }
}

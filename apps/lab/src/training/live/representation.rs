//! Figures of a matrix of embeddings, on the host.

use faer::{Mat, Side};
use rayon::prelude::*;

/// A dimension is dead if its standard deviation is below this part of the root mean square of those of all dimensions.
const DEAD: f64 = 0.01;

/// Returns RankMe of the rows `[N, D]`: exp(−Σ pᵢ ln pᵢ) with pᵢ = σᵢ / Σσ + 1e-7 and the min(N, D) singular values σ of the rows as they are.
/// It is 1 if all values are 0, and `None` if one is not finite or there is no row.
///
/// The singular values are roots of the eigenvalues of the smaller of the two Gram matrices, in f64.
///
/// Source: Garrido, Balestriero, Najman, LeCun, "RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised Representations
/// by Their Rank" (2023).
pub fn rank_me(rows: &[f32], dim: usize) -> Option<f64> {
    let count = rows.len() / dim;
    if count == 0 || !rows.iter().all(|value| value.is_finite()) {
        return None;
    }
    // Vectors whose products are the entries of the Gram matrix: columns, or rows if there are fewer.
    let (order, length) = (dim.min(count), dim.max(count));
    let vectors: Vec<f64> = if dim < count {
        (0..dim).flat_map(|column| rows[column..].iter().step_by(dim)).map(|value| f64::from(*value)).collect()
    } else {
        rows.iter().map(|value| f64::from(*value)).collect()
    };
    let vector = |at: usize| &vectors[at * length..(at + 1) * length];
    let products: Vec<Vec<f64>> = (0..order)
        .into_par_iter()
        .map(|row| (0..=row).map(|column| dot(vector(row), vector(column))).collect())
        .collect();
    let gram = Mat::from_fn(order, order, |row, column| products[row.max(column)][row.min(column)]);
    let eigenvalues = gram.self_adjoint_eigenvalues(Side::Lower).ok()?;
    let singular: Vec<f64> = eigenvalues.into_iter().map(|value| value.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    if sum <= 0.0 {
        return Some(1.0);
    }
    let shares = singular.into_iter().map(|value| value / sum + 1e-7);
    Some(shares.map(|share| -share * share.ln()).sum::<f64>().exp())
}

/// The sum of the products, in eight partial sums, which compilers turn into vectors.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left, right) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (left, right) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(left).zip(right) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Divides each row by its length; a row of zeros stays as it is.
pub fn unit_rows(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut unit = rows.to_vec();
    for row in unit.chunks_exact_mut(dim) {
        let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
    unit
}

/// Squared distance of two rows.
fn distance(left: &[f32], right: &[f32]) -> f32 {
    let (left, right) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    let mut sums = [0.0; 8];
    for (left, right) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(left).zip(right) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Returns the alignment of the unit rows `[N, D]`, of which each `group` rows one after the other are positives of each other: the mean of
/// ‖x − y‖² over the positive pairs. Smaller is better. `None` without pairs.
///
/// Source: Wang & Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere" (2020),
/// with α = 2.
pub fn alignment(unit: &[f32], dim: usize, group: usize) -> Option<f64> {
    let (mut sum, mut pairs) = (0.0, 0);
    if group < 2 {
        return None;
    }
    for rows in unit.chunks_exact(group * dim) {
        for first in 0..group {
            for second in 0..first {
                sum += f64::from(distance(&rows[first * dim..][..dim], &rows[second * dim..][..dim]));
                pairs += 1;
            }
        }
    }
    (pairs > 0).then(|| sum / f64::from(pairs))
}

/// Returns the uniformity of the unit rows `[N, D]`: ln of the mean of exp(−2 ‖x − y‖²) over all pairs of two rows. It is 0 if all rows are
/// equal; smaller is more uniform. `None` with fewer than two rows.
///
/// Source: as [`alignment`], with t = 2.
pub fn uniformity(unit: &[f32], dim: usize) -> Option<f64> {
    let count = unit.len() / dim;
    if count < 2 {
        return None;
    }
    let row = |at: usize| &unit[at * dim..][..dim];
    // Sums of rows are added in order, so that the result does not depend on threads.
    let sums: Vec<f64> = (1..count)
        .into_par_iter()
        .map(|first| (0..first).map(|second| f64::from((-2.0 * distance(row(first), row(second))).exp())).sum())
        .collect();
    let pairs = count as f64 * (count as f64 - 1.0) / 2.0;
    Some((sums.iter().sum::<f64>() / pairs).ln())
}

/// Returns the share of dead dimensions of the rows `[N, D]`, in percent: of those whose standard deviation is below 1 % of the root mean
/// square of the standard deviations of all dimensions. If no dimension varies, all are dead. `None` with fewer than two rows.
pub fn dead_dimensions(rows: &[f32], dim: usize) -> Option<f64> {
    let count = rows.len() / dim;
    if count < 2 {
        return None;
    }
    let mut means = vec![0.0; dim];
    let mut variances = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / count as f64);
    }
    for row in rows.chunks_exact(dim) {
        for ((variance, value), mean) in variances.iter_mut().zip(row).zip(&means) {
            *variance += (f64::from(*value) - mean).powi(2) / count as f64;
        }
    }
    let mean_square = variances.iter().sum::<f64>() / dim as f64;
    // Rounding of the mean leaves a variance of equal values.
    let rounding = |mean: f64| (1e-7 * mean).powi(2);
    let is_dead = |variance: f64, mean: f64| variance <= (DEAD * DEAD * mean_square).max(rounding(mean));
    let dead = variances.iter().zip(&means).filter(|(variance, mean)| is_dead(**variance, **mean)).count();
    Some(100.0 * dead as f64 / dim as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Squared singular values by one-sided Jacobi rotations of the columns: an oracle without a Gram matrix.
    fn jacobi_singular_values(rows: &[f32], dim: usize) -> Vec<f64> {
        let count = rows.len() / dim;
        let column = |at: usize| (0..count).map(|row| f64::from(rows[row * dim + at])).collect::<Vec<f64>>();
        let mut columns: Vec<Vec<f64>> = (0..dim).map(column).collect();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for _ in 0..60 {
            for first in 0..dim {
                for second in first + 1..dim {
                    let (a, b) = (&columns[first], &columns[second]);
                    let (aa, bb, ab) = (product(a, a), product(b, b), product(a, b));
                    if ab.abs() <= 1e-15 * (aa * bb).sqrt() || ab == 0.0 {
                        continue;
                    }
                    let zeta = (bb - aa) / (2.0 * ab);
                    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                    let t = if zeta == 0.0 { 1.0 } else { t };
                    let c = 1.0 / t.hypot(1.0);
                    let rotated = |a: &[f64], b: &[f64], c: f64, s: f64| {
                        a.iter().zip(b).map(|(a, b)| c * a - s * b).collect::<Vec<f64>>()
                    };
                    let (new_a, new_b) = (rotated(a, b, c, c * t), rotated(b, a, c, -c * t));
                    (columns[first], columns[second]) = (new_a, new_b);
                }
            }
        }
        let mut values: Vec<f64> = columns.iter().map(|column| product(column, column).sqrt()).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values.truncate(count);
        values
    }

    fn oracle_of_rank_me(rows: &[f32], dim: usize) -> f64 {
        let values = jacobi_singular_values(rows, dim);
        let sum: f64 = values.iter().sum();
        if sum == 0.0 {
            return 1.0;
        }
        values.iter().map(|value| value / sum + 1e-7).map(|share| -share * share.ln()).sum::<f64>().exp()
    }

    fn square(x: &[f32], y: &[f32]) -> f64 {
        x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
    }

    /// Rows of 2 to 12 embeddings of 1 to 20 dimensions, some of them equal or zero.
    fn cases() -> impl Strategy<Value = (Vec<f32>, usize, usize)> {
        (1usize..20, 1usize..4, 1usize..4).prop_flat_map(|(dim, group, groups)| {
            let value = prop_oneof![4 => -3.0f32..3.0, 1 => Just(0.0f32), 1 => Just(1.0f32)];
            let rows = proptest::collection::vec(value, dim * group * (groups + 1));
            (rows, Just(dim), Just(group))
        })
    }

    proptest! {
        /// Distances are sums in f32 of at most 20 squares of at most 4, so an error of 1e-5 is far above rounding; singular values from
        /// eigenvalues in f64 have an error of at most 1e-7 of the largest, and an entropy of at most 20 such shares one of 1e-4.
        #[test]
        fn figures_are_those_of_slow_oracles((rows, dim, group) in cases()) {
            let unit = unit_rows(&rows, dim);
            for (row, unit) in rows.chunks(dim).zip(unit.chunks(dim)) {
                let length = square(row, &vec![0.0; dim]).sqrt();
                for (value, unit) in row.iter().zip(unit) {
                    prop_assert!((f64::from(*value) - length * f64::from(*unit)).abs() <= 1e-6 * length);
                }
            }
            let all: Vec<&[f32]> = unit.chunks(dim).collect();
            let (mut positives, mut kernel) = (Vec::new(), Vec::new());
            for (i, x) in all.iter().enumerate() {
                for (j, y) in all.iter().enumerate() {
                    if i == j {
                        continue;
                    }
                    kernel.push((-2.0 * square(x, y)).exp());
                    if i / group == j / group {
                        positives.push(square(x, y));
                    }
                }
            }
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let found = uniformity(&unit, dim).unwrap();
            prop_assert!((found - mean(&kernel).ln()).abs() <= 1e-5, "{found}");
            match alignment(&unit, dim, group) {
                Some(found) => prop_assert!((found - mean(&positives)).abs() <= 1e-5, "{found}"),
                None => prop_assert_eq!(group, 1),
            }
            let (found, expected) = (rank_me(&rows, dim).unwrap(), oracle_of_rank_me(&rows, dim));
            prop_assert!((found - expected).abs() <= 1e-3 * expected, "{} is not {}", found, expected);
        }
    }

    #[test]
    fn known_values() {
        // Two opposite unit rows: distance 4.
        let opposite = [1.0, 0.0, -1.0, 0.0];
        assert_eq!(alignment(&opposite, 2, 2), Some(4.0));
        assert!((uniformity(&opposite, 2).unwrap() + 8.0).abs() < 1e-6);
        assert!((rank_me(&opposite, 2).unwrap() - 1.0).abs() < 1e-5);
        // Four unit vectors along the axes have four equal singular values.
        let axes: Vec<f32> = (0..16).map(|at| f32::from(at / 4 == at % 4)).collect();
        assert!((rank_me(&axes, 4).unwrap() - 4.0).abs() < 1e-5);
        let collapsed = [0.5f32; 40];
        assert!((rank_me(&collapsed, 4).unwrap() - 1.0).abs() < 1e-4);
        assert_eq!(uniformity(&unit_rows(&collapsed, 4), 4), Some(0.0));
        assert_eq!(dead_dimensions(&collapsed, 4), Some(100.0));
        assert_eq!(rank_me(&[0.0; 8], 4), Some(1.0));
        assert_eq!(rank_me(&[f32::NAN; 8], 4), None);
        assert_eq!((uniformity(&[1.0; 4], 4), dead_dimensions(&[1.0; 4], 4)), (None, None));
        assert_eq!(alignment(&opposite, 2, 1), None);
    }

    #[test]
    fn a_dimension_is_dead_below_a_hundredth_of_the_typical_deviation() {
        // Deviations of 1, 0.02, 0.005 and 0; the root mean square is 0.5, so the bound is 0.005 and a little more.
        let rows: Vec<f32> = (0..8)
            .flat_map(|row| [1.0, 0.02, 0.005, 0.0].map(|scale| 7.0 + scale * if row % 2 == 0 { 1.0 } else { -1.0 }))
            .collect();
        assert_eq!(dead_dimensions(&rows, 4), Some(50.0));
    }
}

//! Singular values and ranks of representations.

use faer::{MatRef, Side};

use super::pca::second_moments;
use super::rows::Rows;
use crate::error::{ReportError, Result};

/// Singular values of rows `[N, D]`, and what they say about the rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The number of dimensions, D.
    pub dim: usize,
    /// Singular values of the rows as they are, descending.
    pub singular_values: Vec<f64>,
    /// RankMe: exp(−Σ pᵢ ln pᵢ) with pᵢ = σᵢ / Σσ + 1e-7.
    ///
    /// Source: Garrido, Balestriero, Najman, LeCun, "RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
    /// Representations by Their Rank" (2023).
    pub rank_me: f64,
    /// Effective rank of the covariance: exp(−Σ pᵢ ln pᵢ) with pᵢ = λᵢ / Σλ of its eigenvalues λ; the mean of the rows plays no part.
    ///
    /// Source: Roy & Vetterli, "The effective rank: a measure of effective dimensionality" (2007).
    pub effective_rank: f64,
}

impl Spectrum {
    /// Computes the spectrum in f64.
    ///
    /// # Errors
    /// If there is no row, or a decomposition does not converge.
    pub fn of(rows: &Rows) -> Result<Self> {
        if rows.is_empty() {
            return Err(ReportError::TooFew { found: 0, least: 1 });
        }
        let eigenvalues = |centre: &[f64]| {
            let moments = second_moments(rows, centre);
            let matrix = MatRef::from_row_major_slice(&moments, rows.dim(), rows.dim());
            let mut values = matrix
                .self_adjoint_eigenvalues(Side::Lower)
                .map_err(|_| ReportError::Eigenvalues("the representation"))?;
            values.reverse();
            values.iter_mut().for_each(|value| *value = value.max(0.0));
            Ok(values)
        };
        let count = rows.len() as f64;
        let mut singular_values: Vec<f64> =
            eigenvalues(&vec![0.0; rows.dim()])?.into_iter().map(|value| (value * count).sqrt()).collect();
        singular_values.truncate(rows.len());
        let rank_me = exp_entropy(&singular_values, 1e-7);
        Ok(Self {
            dim: rows.dim(),
            rank_me,
            singular_values,
            effective_rank: exp_entropy(&eigenvalues(&rows.mean())?, 0.0),
        })
    }
}

/// Returns exp(−Σ pᵢ ln pᵢ) with pᵢ = xᵢ / Σx + ε; 1 if all are 0.
fn exp_entropy(values: &[f64], epsilon: f64) -> f64 {
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 {
        return 1.0;
    }
    let shares = values.iter().map(|value| value / sum + epsilon).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    #[test]
    fn ranks_of_known_matrices() {
        // ±eᵢ: equal singular values and no mean. D directions have rank D.
        for dim in [1, 2, 5] {
            let rows = |axes: usize| -> Vec<f32> {
                (0..2 * axes)
                    .flat_map(|row| {
                        (0..dim).map(move |i| if i == row / 2 { [1.0, -1.0][row % 2] } else { 0.0 }).collect::<Vec<_>>()
                    })
                    .collect()
            };
            for axes in 1..=dim {
                let values = rows(axes);
                let found = Spectrum::of(&Rows::new(&values, dim).unwrap()).unwrap();
                assert!((found.rank_me - axes as f64).abs() < 1e-4, "{found:?}");
                assert!((found.effective_rank - axes as f64).abs() < 1e-9, "{found:?}");
                assert!((found.singular_values[0] - 2f64.sqrt()).abs() < 1e-12);
            }
        }
        let collapsed = Spectrum::of(&Rows::new(&[3.0; 40], 4).unwrap()).unwrap();
        assert!((collapsed.rank_me - 1.0).abs() < 1e-3, "{collapsed:?}");
        let none = Spectrum::of(&Rows::new(&[0.0; 8], 4).unwrap()).unwrap();
        assert_eq!((none.rank_me, none.effective_rank), (1.0, 1.0));
    }

    #[test]
    fn squares_of_singular_values_add_up_to_the_squared_norm() {
        let values = normal(90 * 6, 9);
        let found = Spectrum::of(&Rows::new(&values, 6).unwrap()).unwrap();
        let norm: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        let sum: f64 = found.singular_values.iter().map(|x| x * x).sum();
        assert!((sum / norm - 1.0).abs() < 1e-12);
        assert!(found.singular_values.is_sorted_by(|a, b| a >= b));
        let few = Spectrum::of(&Rows::new(&values[..12], 6).unwrap()).unwrap();
        assert_eq!(few.singular_values.len(), 2, "two rows have two singular values");
    }
}

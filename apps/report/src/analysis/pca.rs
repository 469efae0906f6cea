//! Principal components.

use faer::{MatRef, Side};

use super::rows::Rows;
use crate::error::{ReportError, Result};

/// Returns the eigenvalues of the covariance matrix `[D, D]` (divisor N), descending, and its eigenvectors, one for each eigenvalue, in f64.
/// The largest entry of a vector is positive.
///
/// # Errors
/// If the decomposition does not converge, or there is no row.
pub fn principal_components(rows: &Rows) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    if rows.is_empty() {
        return Err(ReportError::TooFew { found: 0, least: 1 });
    }
    let dim = rows.dim();
    let covariance = second_moments(rows, &rows.mean());
    let eigen = MatRef::from_row_major_slice(&covariance, dim, dim)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| ReportError::Eigenvalues("the covariance"))?;
    let values = eigen.S().column_vector();
    let vectors = eigen.U();
    let component = |place: usize| {
        let vector: Vec<f64> = (0..dim).map(|row| vectors[(row, place)]).collect();
        let largest =
            vector.iter().copied().fold(0.0, |largest: f64, x| if x.abs() > largest.abs() { x } else { largest });
        (values[place].max(0.0), vector.into_iter().map(|x| x * largest.signum()).collect::<Vec<f64>>())
    };
    Ok((0..dim).rev().map(component).unzip())
}

/// Returns 1/N Σ (x − c)(x − c)ᵀ `[D, D]` in f64.
pub(super) fn second_moments(rows: &Rows, centre: &[f64]) -> Vec<f64> {
    let dim = rows.dim();
    let mut sum = vec![0.0; dim * dim];
    let mut centred = vec![0.0; dim];
    for row in rows.iter() {
        centred.iter_mut().zip(row).zip(centre).for_each(|((to, value), centre)| *to = f64::from(*value) - centre);
        for (sums, left) in sum.chunks_exact_mut(dim).zip(&centred) {
            sums.iter_mut().zip(&centred).for_each(|(sum, right)| *sum += left * right);
        }
    }
    sum.iter_mut().for_each(|sum| *sum /= rows.len().max(1) as f64);
    sum
}

/// Projects rows onto their first two principal components. Rows of one number have 0 as the second.
///
/// # Errors
/// Those of [`principal_components`].
pub fn principal_plane(rows: &Rows) -> Result<Vec<[f64; 2]>> {
    let (_, vectors) = principal_components(rows)?;
    let mean = rows.mean();
    let project = |row: &[f32], vector: &Vec<f64>| -> f64 {
        row.iter().zip(&mean).zip(vector).map(|((value, mean), axis)| (f64::from(*value) - mean) * axis).sum()
    };
    Ok(rows.iter().map(|row| [0, 1].map(|axis| vectors.get(axis).map_or(0.0, |vector| project(row, vector)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    #[test]
    fn components_of_a_stretched_cloud_are_its_axes() {
        // Standard deviations 5, 2 and 0.1 along rotated axes.
        let (c, s) = (0.6f32, 0.8f32);
        let values: Vec<f32> = normal(3 * 4000, 1)
            .chunks(3)
            .flat_map(|x| {
                let (a, b) = (5.0 * x[0], 2.0 * x[1]);
                [c * a - s * b + 7.0, s * a + c * b, 0.1 * x[2]]
            })
            .collect();
        let rows = Rows::new(&values, 3).unwrap();
        let (variances, vectors) = principal_components(&rows).unwrap();
        for (found, expected) in variances.iter().zip([25.0, 4.0, 0.01]) {
            // The relative standard deviation of a variance of 4,000 values is √(2/4000) = 0.022.
            assert!((found / expected - 1.0).abs() < 0.12, "{found} is not {expected}");
        }
        assert!((vectors[0][0] - 0.6).abs() < 0.05 && (vectors[0][1] - 0.8).abs() < 0.05, "{vectors:?}");
        let plane = principal_plane(&rows).unwrap();
        for axis in 0..2 {
            let variance = plane.iter().map(|point| point[axis].powi(2)).sum::<f64>() / plane.len() as f64;
            assert!((variance / variances[axis] - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn one_dimension_and_equal_rows_are_fine() {
        let plane = principal_plane(&Rows::new(&[1.0, 3.0], 1).unwrap()).unwrap();
        assert_eq!(plane, [[-1.0, 0.0], [1.0, 0.0]]);
        let plane = principal_plane(&Rows::new(&[2.0; 8], 2).unwrap()).unwrap();
        assert!(plane.iter().flatten().all(|x| *x == 0.0));
    }
}

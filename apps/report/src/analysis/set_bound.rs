//! The set term of QARe for two view sets, between its bounds.

use faer::{MatRef, Side};

use super::rows::Rows;
use crate::error::{ReportError, Result};

/// The floor of the paper's repository.
#[cfg(test)]
const FLOOR: f64 = 1e-8;

/// The quadratic assignment problem max_P tr(S₁ P S₂ Pᵀ) of two view sets of B images, and what encloses it. S = 1 + s with the
/// similarities s of a set `[B, B]`. All values but the eigenvalues are divided by B(B − 1).
///
/// `reversed` ≤ `mean` ≤ the maximum over P, `images` ≤ the maximum over P ≤ `spectral` ≤ `frobenius`, and `traces` ≤ `spectral`.
///
/// Source: Finke, Burkard, Rendl, "Quadratic assignment problems" (1987); Moskalev et al. (ECCV 2022).
#[derive(Clone, Debug, PartialEq)]
pub struct SetBound {
    /// Number of images, B.
    pub count: usize,
    /// Eigenvalues of S₁ and S₂, descending.
    pub eigenvalues: [Vec<f64>; 2],
    /// Least value that spectra allow: the product of eigenvalues in opposite order.
    pub reversed: f64,
    /// tr S₁ · tr S₂ / B, which is the least ⟨λ(S₁), λ(S₂)⟩ of these traces (Chebyshev).
    pub traces: f64,
    /// Mean of tr(S₁ P S₂ Pᵀ) over all permutations P.
    pub mean: f64,
    /// tr(S₁ S₂): the value of the assignment of each view to the other view of its image.
    pub images: f64,
    /// ⟨λ(S₁), λ(S₂)⟩, the bound that is the set term.
    pub spectral: f64,
    /// ‖S₁‖ ‖S₂‖, the bound of Cauchy and Schwarz, equal to `spectral` for proportional spectra.
    pub frobenius: f64,
}

impl SetBound {
    /// Computes the values for embeddings `[B, D]` of two views of the same images. `floor` is the least similarity, if there is one.
    ///
    /// # Errors
    /// If the sets differ in size, have fewer than two images, or a decomposition does not converge.
    pub fn of(first: &Rows, second: &Rows, floor: Option<f64>) -> Result<Self> {
        let count = first.len();
        if second.len() != count {
            return Err(ReportError::Size {
                what: "embeddings of the second set",
                found: second.len(),
                expected: count,
            });
        }
        if count < 2 {
            return Err(ReportError::TooFew { found: count, least: 2 });
        }
        let matrices = [first, second].map(|rows| similarities(rows, floor));
        let eigenvalues = |matrix: &Vec<f64>| {
            let mut values = MatRef::from_row_major_slice(matrix, count, count)
                .self_adjoint_eigenvalues(Side::Lower)
                .map_err(|_| ReportError::Eigenvalues("the similarities of a view set"))?;
            values.reverse();
            Ok(values)
        };
        let eigenvalues = [eigenvalues(&matrices[0])?, eigenvalues(&matrices[1])?];
        let [one, other] = &matrices;
        let trace = |matrix: &Vec<f64>| (0..count).map(|i| matrix[i * count + i]).sum::<f64>();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let sum = |matrix: &Vec<f64>| matrix.iter().sum::<f64>();
        let (images, pairs) = (count as f64, (count * (count - 1)) as f64);
        let mean = trace(one) * trace(other) / images + (sum(one) - trace(one)) * (sum(other) - trace(other)) / pairs;
        let ascending: Vec<f64> = eigenvalues[1].iter().rev().copied().collect();
        Ok(Self {
            count,
            reversed: product(&eigenvalues[0], &ascending) / pairs,
            traces: trace(one) * trace(other) / images / pairs,
            mean: mean / pairs,
            images: product(one, other) / pairs,
            spectral: product(&eigenvalues[0], &eigenvalues[1]) / pairs,
            frobenius: (product(one, one) * product(other, other)).sqrt() / pairs,
            eigenvalues,
        })
    }

    /// Returns the gap of the bound: how much of `spectral` the assignment of views of the same image leaves, as a fraction.
    pub fn gap(&self) -> f64 {
        (self.spectral - self.images) / self.spectral
    }
}

/// Returns S = 1 + s `[B, B]` in f64.
fn similarities(rows: &Rows, floor: Option<f64>) -> Vec<f64> {
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            row.iter().map(|x| f64::from(*x) / length).collect()
        })
        .collect();
    let cosine = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let at_least = floor.unwrap_or(f64::NEG_INFINITY);
    unit.iter().flat_map(|a| unit.iter().map(|b| 1.0 + cosine(a, b).max(at_least)).collect::<Vec<f64>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    fn permutations(count: usize) -> Vec<Vec<usize>> {
        if count == 0 {
            return vec![Vec::new()];
        }
        let shorter = permutations(count - 1);
        let with = |place: usize, order: &Vec<usize>| {
            let mut order = order.clone();
            order.insert(place, count - 1);
            order
        };
        shorter.iter().flat_map(|order| (0..count).map(|place| with(place, order)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn all_permutations_lie_between_the_bounds() {
        let (count, dim) = (5, 3);
        for seed in 0..20 {
            for floor in [None, Some(FLOOR)] {
                let values = [normal(count * dim, 2 * seed), normal(count * dim, 2 * seed + 1)];
                let rows = values.each_ref().map(|values| Rows::new(values, dim).unwrap());
                let found = SetBound::of(&rows[0], &rows[1], floor).unwrap();
                let [one, other] = rows.each_ref().map(|rows| similarities(rows, floor));
                let pairs = (count * (count - 1)) as f64;
                let values: Vec<f64> = permutations(count)
                    .iter()
                    .map(|order| {
                        let place = |i: usize, j: usize| one[i * count + j] * other[order[i] * count + order[j]];
                        (0..count * count).map(|at| place(at / count, at % count)).sum::<f64>() / pairs
                    })
                    .collect();
                let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let slack = 1e-9;
                assert!((found.mean - mean).abs() < slack, "{found:?}: the mean is {mean}");
                assert!(values.iter().any(|value| (value - found.images).abs() < slack), "the identity is one of them");
                assert!(found.reversed <= least + slack && most <= found.spectral + slack, "{found:?}");
                assert!(found.spectral <= found.frobenius + slack && found.traces <= found.spectral + slack);
                assert!(found.eigenvalues.iter().all(|values| values.is_sorted_by(|a, b| a >= b)));
                assert!((0.0..1.0).contains(&found.gap()));
            }
        }
    }

    #[test]
    fn equal_sets_have_no_gap() {
        let values = normal(24, 5);
        let rows = Rows::new(&values, 3).unwrap();
        let found = SetBound::of(&rows, &rows, None).unwrap();
        assert!(found.gap().abs() < 1e-12 && (found.frobenius - found.spectral).abs() < 1e-9);
        assert!(SetBound::of(&rows, &Rows::new(&values[..12], 3).unwrap(), None).is_err());
        let one = Rows::new(&values[..3], 3).unwrap();
        assert!(SetBound::of(&one, &one, None).is_err());
    }
}

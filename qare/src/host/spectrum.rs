//! The eigenvalues of a view set's similarities, and as many of the eigenvectors as are wanted.

use rayon::prelude::*;

use super::bisection::eigenvalues;
use super::divide::Tridiagonal;
use super::panel::WIDTH;
use super::reduction::Reduced;
use super::strips::Strips;
use super::twisted::Matrix;
use super::vectorized::Aligned;
use crate::ObjectiveError;

/// A symmetric matrix, reduced to a tridiagonal one whose eigenvalues are known.
pub(super) struct Spectrum {
    /// Eigenvalues in ascending order.
    pub values: Vec<f64>,
    reduced: Reduced,
    tridiagonal: Matrix,
    /// Divide and conquer, if it was needed for the eigenvalues.
    divided: Option<Tridiagonal>,
    /// What messages call the matrix.
    label: String,
}

/// Up to [`WIDTH`] unit eigenvectors.
pub(super) struct Eigenvectors {
    /// One in each column `[n, WIDTH]`; columns left over are zero, or of no weight.
    pub panel: Aligned,
    /// What each is to be multiplied with.
    pub weights: Vec<f32>,
}

impl Spectrum {
    /// Of the matrix that has `entry(x)` where `matrix` has x; called `label` in messages.
    ///
    /// # Errors
    /// When the eigenvalues are not found.
    pub fn new(matrix: &Strips, entry: impl Fn(f32) -> f32, label: String) -> Result<Self, ObjectiveError> {
        let reduced = Reduced::new(matrix, entry);
        let tridiagonal = Matrix::new(reduced.diagonal.clone(), &reduced.below);
        let mut spectrum = Self { values: Vec::new(), reduced, tridiagonal, divided: None, label };
        let values = match eigenvalues(&spectrum.tridiagonal) {
            Some(values) => values,
            None => spectrum.divided.insert(spectrum.divide()?).values.clone(),
        };
        spectrum.values = values.into_iter().map(f64::from).collect();
        Ok(spectrum)
    }

    /// The eigenvectors whose weights are not zero, so precise that Σ over them of weight · u uᵀ is off by no more than about
    /// `allowance` (in the Frobenius norm).
    ///
    /// # Errors
    /// When divide and conquer, which keeps eigenvectors of close eigenvalues apart, does not converge.
    pub fn eigenvectors(&self, weights: &[f64], allowance: f64) -> Result<Vec<Eigenvectors>, ObjectiveError> {
        let wanted: Vec<usize> = (0..weights.len()).filter(|rank| weights[*rank] != 0.0).collect();
        if self.divided.is_none()
            && let Some(eigenvectors) = self.twisted(&wanted, weights, allowance)
        {
            return Ok(eigenvectors);
        }
        self.divided(&wanted, weights)
    }

    /// Each by itself, unless eigenvalues are too close to each other for that.
    fn twisted(&self, wanted: &[usize], weights: &[f64], allowance: f64) -> Option<Vec<Eigenvectors>> {
        let (values, size) = (&self.values, self.values.len());
        let distance = |rank: usize| {
            let lower = rank.checked_sub(1).map_or(f64::INFINITY, |before| values[rank] - values[before]);
            let upper = values.get(rank + 1).map_or(f64::INFINITY, |after| after - values[rank]);
            lower.min(upper)
        };
        let made: Vec<(Eigenvectors, f64)> = wanted
            .par_chunks(WIDTH)
            .map(|ranks| {
                let shifts: Vec<f32> = ranks.iter().map(|rank| values[*rank] as f32).collect();
                let mut panel = Aligned::zeros(size * WIDTH);
                let qualities = self.tridiagonal.vectors(&shifts, &mut panel);
                // An eigenvector is off by what is left of (T − λ) u, over the distance of the next eigenvalue.
                let error = |(rank, left): (&usize, f32)| {
                    (weights[*rank] * (f64::from(left) / distance(*rank)).min(2.0)).powi(2)
                };
                let left = qualities.iter().map(|quality| quality.residual + f32::EPSILON * quality.magnitude);
                let error = ranks.iter().zip(left).map(error).sum();
                // Whether or not it comes to be used: the panel is in the cache now.
                self.reduced.rotate_back(&mut panel);
                let weights = ranks.iter().map(|rank| weights[*rank] as f32).collect();
                (Eigenvectors { panel, weights }, error)
            })
            .collect();
        let error: f64 = made.iter().map(|(_, error)| error).sum();
        (error <= allowance * allowance).then(|| made.into_iter().map(|(eigenvectors, _)| eigenvectors).collect())
    }

    /// By divide and conquer.
    fn divided(&self, wanted: &[usize], weights: &[f64]) -> Result<Vec<Eigenvectors>, ObjectiveError> {
        let now;
        let divided = match &self.divided {
            Some(divided) => divided,
            None => {
                now = self.divide()?;
                &now
            }
        };
        let size = self.values.len();
        let mut marks = vec![false; size];
        wanted.iter().for_each(|rank| marks[*rank] = true);
        let (vectors, ranks) = divided.vectors(&marks);
        let back = |(vectors, ranks): (&[f32], &[usize])| {
            let mut panel = Aligned::zeros(size * WIDTH);
            for (column, vector) in vectors.chunks_exact(size).enumerate() {
                panel[column..].iter_mut().step_by(WIDTH).zip(vector).for_each(|(entry, x)| *entry = *x);
            }
            self.reduced.rotate_back(&mut panel);
            Eigenvectors { panel, weights: ranks.iter().map(|rank| weights[*rank] as f32).collect() }
        };
        Ok(vectors.par_chunks(size * WIDTH).zip(ranks.par_chunks(WIDTH)).map(back).collect())
    }

    fn divide(&self) -> Result<Tridiagonal, ObjectiveError> {
        Tridiagonal::new(self.reduced.diagonal.clone(), &self.reduced.below)
            .map_err(|_| ObjectiveError::NoConvergence { quantity: self.label.clone(), size: self.values.len() })
    }
}

#[cfg(test)]
mod tests {
    use faer::{Mat, Side};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A = V diag(values) Vᵀ with V an orthogonal matrix.
    fn with_eigenvalues(values: &[f64], seed: u64) -> Mat<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let half = Mat::from_fn(values.len(), values.len(), |_, _| rng.random_range(-1.0..1.0f64));
        let basis = (&half + half.transpose()).self_adjoint_eigen(Side::Lower).unwrap();
        let scaled = Mat::from_fn(values.len(), values.len(), |i, j| basis.U()[(i, j)] * values[j]);
        scaled * basis.U().transpose()
    }

    fn spectrum(matrix: &Mat<f64>) -> Spectrum {
        let strips = Strips::from_fn(matrix.nrows(), |i, j| matrix[(i, j)] as f32);
        Spectrum::new(&strips, |x| x, "a matrix".into()).unwrap()
    }

    /// Σ weight · u uᵀ.
    fn sum(eigenvectors: &[Eigenvectors], size: usize) -> Mat<f64> {
        let mut sum = Mat::zeros(size, size);
        for eigenvectors in eigenvectors {
            for (column, weight) in eigenvectors.weights.iter().enumerate() {
                let column = Mat::from_fn(size, 1, |i, _| f64::from(eigenvectors.panel[i * WIDTH + column]));
                sum += &column * column.transpose() * f64::from(*weight);
            }
        }
        sum
    }

    /// Weights by which the sum is a function of the matrix, whichever eigenvectors equal eigenvalues are given.
    fn weight(value: f64) -> f64 {
        if value > 2.05 { 0.0 } else { (3.0 * value).sin() }
    }

    /// Of a matrix with these eigenvalues; whether the eigenvectors could be made each by itself.
    fn assert_right(values: &[f64], case: &str) -> bool {
        let size = values.len();
        let matrix = with_eigenvalues(values, size as u64);
        let spectrum = spectrum(&matrix);
        let weights: Vec<f64> = values.iter().copied().map(weight).collect();
        let wanted: Vec<usize> = (0..size).filter(|rank| weights[*rank] != 0.0).collect();
        let allowance = 1e-4 * (size as f64).sqrt();
        let expected = with_eigenvalues(&weights, size as u64);
        let check = |eigenvectors: Vec<Eigenvectors>, way: &str| {
            let error = (sum(&eigenvectors, size) - &expected).norm_l2();
            assert!(error < allowance, "{case}, {way}: off by {error:.1e}");
        };
        check(spectrum.eigenvectors(&weights, allowance).unwrap(), "as chosen");
        check(spectrum.divided(&wanted, &weights).unwrap(), "by divide and conquer");
        let twisted = spectrum.twisted(&wanted, &weights, allowance);
        let possible = twisted.is_some();
        twisted.into_iter().for_each(|twisted| check(twisted, "each by itself"));
        possible
    }

    #[test]
    fn eigenvectors_of_eigenvalues_apart_are_made_each_by_itself() {
        for size in [1, 2, 3, 20, 63, 64, 65, 130, 200] {
            let values: Vec<f64> = (0..size).map(|i| -1.0 + 4.0 * f64::from(i) / f64::from(size)).collect();
            assert!(assert_right(&values, &format!("{size} apart")));
        }
    }

    #[test]
    fn eigenvectors_of_close_eigenvalues_are_kept_apart() {
        for size in [20, 65, 130] {
            let values: Vec<f64> = (0..size).map(|i| f64::from(i / 5) * 0.1 + f64::from(i % 5) * 1e-9).collect();
            assert!(!assert_right(&values, &format!("{size} in fives")));
        }
    }

    #[test]
    fn close_eigenvalues_whose_eigenvectors_are_not_wanted_do_not_matter() {
        let values: Vec<f64> = (0..80).map(|i| if i < 40 { f64::from(i) / 40.0 } else { 3.0 }).collect();
        assert!(assert_right(&values, "forty apart, forty equal"));
    }

    #[test]
    fn divide_and_conquer_is_taken_where_an_allowance_is_too_small() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i) / 25.0).collect();
        let spectrum = spectrum(&with_eigenvalues(&values, 0));
        let wanted: Vec<usize> = (0..50).collect();
        assert!(spectrum.twisted(&wanted, &[1.0; 50], 1e-3).is_some());
        assert!(spectrum.twisted(&wanted, &[1.0; 50], 0.0).is_none());
        assert!(spectrum.twisted(&wanted, &[f64::NAN; 50], 1.0).is_none());
        assert!(!spectrum.eigenvectors(&[1.0; 50], 0.0).unwrap().is_empty());
    }
}

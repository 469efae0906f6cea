//! Eigenvalues and eigenvectors of a symmetric matrix by rotations, for builds without the feature `host`.
//!
//! Cyclic Jacobi: a sweep turns every pair of rows and columns so that their common entry becomes 0. It is as precise as a
//! solver can be, needs no other crate, and takes some ten sweeps of 4·n³ operations: seconds for a thousand rows.
//!
//! Source: Golub & Van Loan, "Matrix Computations" (4th ed.), section 8.5.

/// Sweeps that are never needed: convergence is quadratic, and ten are many.
const SWEEPS: usize = 60;

/// Eigenvalues in ascending order, and a unit eigenvector for each, one after the other; none if it does not converge. The lower
/// triangle of `matrix` `[n, n]` is read. Its entries are finite, and their squares are in range.
pub(crate) fn eigen(matrix: &[f64], size: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut a: Vec<f64> = matrix.to_vec();
    for row in 0..size {
        for column in row + 1..size {
            a[row * size + column] = a[column * size + row];
        }
    }
    // Row j is eigenvector j.
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|j| vectors[j * size + j] = 1.0);
    let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..SWEEPS {
        let off = |a: &[f64]| -> f64 {
            let below = (0..size).flat_map(|row| (0..row).map(move |column| row * size + column));
            below.map(|place| a[place] * a[place]).sum::<f64>().sqrt()
        };
        if off(&a) <= f64::EPSILON * norm {
            let mut order: Vec<usize> = (0..size).collect();
            order.sort_by(|i, j| a[i * size + i].total_cmp(&a[j * size + j]));
            let values = order.iter().map(|j| a[j * size + j]).collect();
            let sorted = order.iter().flat_map(|j| vectors[j * size..][..size].iter().copied()).collect();
            return Some((values, sorted));
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut a, &mut vectors, size, p, q);
            }
        }
    }
    None
}

/// Makes entry (p, q) zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], size: usize, p: usize, q: usize) {
    let entry = a[p * size + q];
    if entry == 0.0 {
        return;
    }
    let theta = (a[q * size + q] - a[p * size + p]) / (2.0 * entry);
    // The smaller of the two angles; for a large theta its square may overflow.
    let tangent = if theta.abs() > 1e150 { 0.5 / theta } else { theta.signum() / (theta.abs() + theta.hypot(1.0)) };
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
    for row in 0..size {
        let (x, y) = turn(a[row * size + p], a[row * size + q]);
        (a[row * size + p], a[row * size + q]) = (x, y);
    }
    for column in 0..size {
        let (x, y) = turn(a[p * size + column], a[q * size + column]);
        (a[p * size + column], a[q * size + column]) = (x, y);
        let (x, y) = turn(vectors[p * size + column], vectors[q * size + column]);
        (vectors[p * size + column], vectors[q * size + column]) = (x, y);
    }
    (a[p * size + q], a[q * size + p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::eigen;

    /// λ and V with V·A·Vᵀ = diag(λ) and V·Vᵀ = 1, within some ε of the norm.
    fn check(matrix: &[f64], size: usize) -> Vec<f64> {
        let (values, vectors) = eigen(matrix, size).unwrap();
        let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let tolerance = 1e-14 * size.max(1) as f64;
        let row = |j: usize| &vectors[j * size..][..size];
        for (i, value) in values.iter().enumerate() {
            let image: Vec<f64> =
                (0..size).map(|k| (0..size).map(|l| matrix[k.max(l) * size + k.min(l)] * row(i)[l]).sum()).collect();
            for j in 0..size {
                let (product, dot): (f64, f64) =
                    ((0..size).map(|k| image[k] * row(j)[k]).sum(), (0..size).map(|k| row(i)[k] * row(j)[k]).sum());
                let (value, one) = if i == j { (*value, 1.0) } else { (0.0, 0.0) };
                assert!((product - value).abs() <= tolerance * norm, "{i} {j}: {product} {value}");
                assert!((dot - one).abs() <= tolerance, "{i} {j}: {dot}");
            }
        }
        assert!(values.is_sorted());
        values
    }

    #[test]
    fn random_matrices_are_rebuilt() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
        };
        for size in [0, 1, 2, 3, 8, 33, 64] {
            for _ in 0..3 {
                check(&(0..size * size).map(|_| random()).collect::<Vec<_>>(), size);
            }
        }
    }

    #[test]
    fn spectra_that_are_known_are_found() {
        // Identity, zero, all ones (rank one), and entries of very different sizes.
        let identity: Vec<f64> = (0..25).map(|k| if k % 6 == 0 { 1.0 } else { 0.0 }).collect();
        assert_eq!(check(&identity, 5), [1.0; 5]);
        assert_eq!(check(&[0.0; 16], 4), [0.0; 4]);
        let ones = check(&[1.0; 36], 6);
        assert!((ones[5] - 6.0).abs() < 1e-13 && ones[..5].iter().all(|value| value.abs() < 1e-13));
        let graded: Vec<f64> = (0..64).map(|k| 10f64.powi(-(k / 8 + k % 8))).collect();
        check(&graded, 8);
        assert!((check(&[2.0, 9.0, 1.0, 2.0], 2)[0] - 1.0).abs() < 1e-15, "the lower triangle is read");
    }
}

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

fn decompose(matrix: &Mat<f64>) -> Decomposition {
    let matrix = PackedSymmetric::from_fn(matrix.nrows(), |i, j| matrix[(i, j)] as f32);
    Decomposition::new(&matrix, &EigenParams::default()).unwrap()
}

/// Σ w u uᵀ.
fn sum(panels: Vec<WeightedPanel>, order: usize) -> Mat<f64> {
    let sum = WeightedEigenvectors { order, panels }.sum();
    Mat::from_fn(order, order, |i, j| sum.get(i, j).into())
}

/// Weights by which the sum is a function of the matrix, whichever eigenvectors equal eigenvalues are given.
fn weight(value: f64) -> f64 {
    if value > 2.05 { 0.0 } else { (3.0 * value).sin() }
}

/// Of a matrix with these eigenvalues; returns whether the eigenvectors could be made each by itself.
fn assert_right(values: &[f64], case: &str) -> bool {
    let order = values.len();
    let decomposition = decompose(&with_eigenvalues(values, order as u64));
    let weights: Vec<f64> = values.iter().copied().map(weight).collect();
    let wanted: Vec<usize> = (0..order).filter(|rank| weights[*rank] != 0.0).collect();
    let tolerance = 1e-4 * (order as f64).sqrt();
    let expected = with_eigenvalues(&weights, order as u64);
    let check = |panels: Vec<WeightedPanel>, way: &str| {
        let error = (sum(panels, order) - &expected).norm_l2();
        assert!(error < tolerance, "{case}, {way}: off by {error:.1e}");
    };
    check(decomposition.weighted(&weights, tolerance).unwrap().panels, "as chosen");
    check(decomposition.divided(&wanted, &weights).unwrap(), "by divide and conquer");
    let twisted = decomposition.twisted(&wanted, &weights, tolerance);
    let possible = twisted.is_some();
    twisted.into_iter().for_each(|twisted| check(twisted, "each by itself"));
    possible
}

#[test]
fn eigenvectors_of_separate_eigenvalues_are_made_each_by_itself() {
    for order in [1, 2, 3, 20, 63, 64, 65, 130, 200] {
        let values: Vec<f64> = (0..order).map(|i| -1.0 + 4.0 * f64::from(i) / f64::from(order)).collect();
        assert!(assert_right(&values, &format!("order {order}, separate")));
    }
}

#[test]
fn eigenvectors_of_close_eigenvalues_are_kept_apart() {
    for order in [20, 65, 130] {
        let values: Vec<f64> = (0..order).map(|i| f64::from(i / 5) * 0.1 + f64::from(i % 5) * 1e-9).collect();
        assert!(!assert_right(&values, &format!("order {order}, in fives")));
    }
}

#[test]
fn close_eigenvalues_whose_eigenvectors_are_not_wanted_do_not_matter() {
    let values: Vec<f64> = (0..80).map(|i| if i < 40 { f64::from(i) / 40.0 } else { 3.0 }).collect();
    assert!(assert_right(&values, "forty separate, forty equal"));
}

#[test]
fn divide_and_conquer_is_taken_where_a_tolerance_is_too_small() {
    let values: Vec<f64> = (0..50).map(|i| f64::from(i) / 25.0).collect();
    let decomposition = decompose(&with_eigenvalues(&values, 0));
    let wanted: Vec<usize> = (0..50).collect();
    assert!(decomposition.twisted(&wanted, &[1.0; 50], 1e-3).is_some());
    assert!(decomposition.twisted(&wanted, &[1.0; 50], 0.0).is_none());
    assert!(decomposition.twisted(&wanted, &[f64::NAN; 50], 1.0).is_none());
    assert_eq!(decomposition.weighted(&[1.0; 50], 0.0).unwrap().len(), 50);
}

#[test]
fn divide_and_conquer_finds_the_eigenvalues_where_bisection_gives_up() {
    let values: Vec<f64> = (0..90).map(|i| f64::from(i) / 25.0).collect();
    let matrix = with_eigenvalues(&values, 1);
    let matrix = PackedSymmetric::from_fn(90, |i, j| matrix[(i, j)] as f32);
    let params = EigenParams { max_sweeps: 1, ..Default::default() };
    let decomposition = Decomposition::new(&matrix, &params).unwrap();
    assert!(decomposition.divided.is_some());
    for (found, expected) in decomposition.values().iter().zip(&values) {
        assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
    }
}

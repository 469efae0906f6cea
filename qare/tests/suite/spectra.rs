//! Eigendecompositions of matrices of every scale, and set terms of similarities of every size.

use burn::tensor::{DType, Tensor, TensorData};
use qare::*;

use crate::evaluation::{Flex, NdArray64, number, random_rows};
use crate::oracle::{self, Rows};

/// A symmetric matrix with entries of about `scale`.
fn symmetric(size: usize, scale: f64, seed: u64) -> Rows {
    let rows = random_rows(size, size, seed);
    (0..size).map(|i| (0..size).map(|j| (rows[i][j] + rows[j][i]) * scale).collect()).collect()
}

fn stack(matrices: &[Rows], dtype: DType) -> Tensor<NdArray64, 3> {
    let size = matrices[0].len();
    let entries: Vec<f64> = matrices.iter().flat_map(|matrix| matrix.concat()).collect();
    Tensor::from_data(TensorData::new(entries, [matrices.len(), size, size]), (&Default::default(), dtype))
}

/// ‖A V − V diag(λ)‖ / ‖A‖ and ‖VᵀV − 1‖, of A over its largest entry.
fn errors(matrix: &Rows, values: &[f64], vectors: &[f64]) -> (f64, f64) {
    let size = matrix.len();
    let largest = matrix.iter().flatten().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let vector = |j: usize| &vectors[j * size..][..size];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (mut residual, mut norm, mut skew) = (0.0, 0.0, 0.0);
    for (i, row) in matrix.iter().enumerate() {
        let row: Vec<f64> = row.iter().map(|x| x / largest).collect();
        norm += dot(&row, &row);
        for (j, value) in values.iter().enumerate() {
            residual += (dot(&row, vector(j)) - value / largest * vector(j)[i]).powi(2);
            skew += (dot(vector(i), vector(j)) - if i == j { 1.0 } else { 0.0 }).powi(2);
        }
    }
    (residual.sqrt() / norm.sqrt(), skew.sqrt())
}

#[test]
fn decompositions_are_as_good_at_every_scale() {
    for size in [1, 2, 3, 16, 33, 65, 100, 200] {
        for scale in [1e-307, 1e-160, 1e-38, 1e-30, 1e-15, 1e-8, 1e-3, 0.3, 1.0, 1e3, 1e10, 1e15, 1e38, 1e150, 1e300] {
            let matrix = symmetric(size, scale, size as u64);
            let eigen = symmetric_eigen(stack(std::slice::from_ref(&matrix), DType::F64)).unwrap();
            assert!(eigen.values[0].is_sorted());
            let vectors: Vec<f64> = eigen.vectors.into_data().iter::<f64>().collect();
            let (residual, skew) = errors(&matrix, &eigen.values[0], &vectors);
            assert!(residual < 1e-14 * size as f64, "{size}, {scale:e}: a residual of {residual:.1e}");
            assert!(skew < 1e-14 * size as f64, "{size}, {scale:e}: vectors off by {skew:.1e}");
        }
    }
}

/// Matrices that f32 can hold, in f32: as precise as their eigenvectors are in it.
#[test]
fn decompositions_of_f32_matrices() {
    for size in [2, 40, 200] {
        for scale in [1e-44, 1e-38, 1e-15, 1.0, 1e10, 1e38] {
            let rounded = |matrix: Rows| -> Rows {
                matrix.into_iter().map(|row| row.into_iter().map(|x| f64::from(x as f32)).collect()).collect()
            };
            let matrix = rounded(symmetric(size, scale, 7));
            let eigen = symmetric_eigen(stack(std::slice::from_ref(&matrix), DType::F32)).unwrap();
            let vectors: Vec<f64> = eigen.vectors.into_data().iter::<f64>().collect();
            let (residual, skew) = errors(&matrix, &eigen.values[0], &vectors);
            assert!(
                residual < 1e-6 && skew < 1e-6 * (size as f64).sqrt(),
                "{size}, {scale:e}: {residual:.1e}, {skew:.1e}"
            );
        }
    }
}

/// Beyond ordinary norms, which are left as they are, every power of two gives the same digits.
#[test]
fn spectra_scale_with_the_matrix() {
    for size in [3, 50, 130] {
        let of = |power: i32| {
            let matrix: Rows =
                symmetric(size, 1.0, 3).iter().map(|row| row.iter().map(|x| x * 2f64.powi(power)).collect()).collect();
            let eigen = symmetric_eigen(stack(&[matrix], DType::F64)).unwrap();
            let values: Vec<f64> = eigen.values[0].iter().map(|value| value * 2f64.powi(-power)).collect();
            (values, eigen.vectors.into_data().iter::<f64>().collect::<Vec<_>>())
        };
        let (ordinary, (values, vectors)) = (of(0).0, of(100));
        for (value, expected) in values.iter().zip(&ordinary) {
            assert!((value - expected).abs() < 1e-13 * size as f64, "{size}: {value} for {expected}");
        }
        for power in [-900, -300, -40, 30, 150, 900] {
            assert_eq!(of(power), (values.clone(), vectors.clone()), "{size}, 2^{power}");
        }
    }
}

#[test]
fn special_matrices() {
    for scale in [1e-300, 1e-20, 1.0, 1e20, 1e300] {
        for size in [1, 5, 70] {
            let zero: Rows = vec![vec![0.0; size]; size];
            let identity: Rows =
                (0..size).map(|i| (0..size).map(|j| if i == j { scale } else { 0.0 }).collect()).collect();
            let ones: Rows = vec![vec![scale; size]; size];
            // Entries from one to 10⁻¹² times the scale.
            let graded: Rows = (0..size)
                .map(|i| (0..size).map(|j| scale * 10f64.powf(-12.0 * i.max(j) as f64 / size as f64)).collect())
                .collect();
            for (name, matrix) in [("zero", zero), ("identity", identity), ("ones", ones), ("graded", graded)] {
                let eigen = symmetric_eigen(stack(std::slice::from_ref(&matrix), DType::F64)).unwrap();
                let vectors: Vec<f64> = eigen.vectors.into_data().iter::<f64>().collect();
                let (residual, skew) = errors(&matrix, &eigen.values[0], &vectors);
                let residual = if name == "zero" { 0.0 } else { residual };
                assert!(residual < 1e-13 && skew < 1e-13, "{name}, {size}, {scale:e}: {residual:.1e}, {skew:.1e}");
                if name == "zero" {
                    assert!(eigen.values[0].iter().all(|value| *value == 0.0));
                }
            }
        }
    }
}

#[test]
fn matrices_that_have_no_spectrum_are_errors_that_say_where() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut second = symmetric(6, 1.0, 2);
        second[4][2] = bad;
        let error = symmetric_eigen(stack(&[symmetric(6, 1.0, 1), second], DType::F64)).unwrap_err();
        assert!(matches!(error, ObjectiveError::NonFinite { .. }));
        for part in ["matrix 2 of 2", "row 4, column 2", "NaN or infinity"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    let error = symmetric_eigen(Tensor::<NdArray64, 3>::zeros([2, 3, 4], &Default::default())).unwrap_err();
    assert_eq!(error, ObjectiveError::NotSquare { shape: [2, 3, 4] });
    // The largest eigenvalue of 200 × 200 ones is 200.
    let error = symmetric_eigen(stack(&[vec![vec![f64::MAX; 200]; 200]], DType::F64)).unwrap_err();
    assert!(matches!(error, ObjectiveError::Overflow { .. }), "{error}");
}

#[test]
fn set_terms_of_similarities_of_every_size() {
    for scale in [1e-30, 1e-3, 1.0, 1e6, 1e15] {
        let sets = [symmetric(12, scale, 1), symmetric(12, scale, 2)];
        let plus_one = |set: &Rows| -> Rows { set.iter().map(|row| row.iter().map(|x| 1.0 + x).collect()).collect() };
        let spectra = [&sets[0], &sets[1]].map(|set| oracle::eigenvalues(plus_one(set)));
        let expected = spectra[0].iter().zip(&spectra[1]).map(|(a, b)| a * b).sum::<f64>() / 132.0;
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
            let s = stack(&sets, dtype).require_grad();
            let value = Qare::default().forward_similarities(s.clone()).unwrap();
            let gradient = s.grad(&value.backward()).unwrap();
            assert!(
                (number(value.clone()) - expected).abs() < tolerance * expected.abs(),
                "{scale:e}: {value} for {expected}"
            );
            // ⟨∂q/∂S_1, S_1⟩ = q, by Euler: q is of the first degree in each.
            let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
            let along: f64 = gradient.iter().zip(plus_one(&sets[0]).concat()).map(|(g, s)| g * s).sum();
            assert!((along - expected).abs() < 10.0 * tolerance * expected.abs(), "{scale:e}: {along} for {expected}");
        }
    }
    // 10³⁰ squared is more than an f32 can be, and no more than an f64.
    let large = stack(&[symmetric(12, 1e30, 1), symmetric(12, 1e30, 2)], DType::F32);
    let error = Qare::default().forward_similarities(large.clone()).unwrap_err();
    assert!(matches!(error, ObjectiveError::Overflow { .. }), "{error}");
    assert!(
        number(Qare::default().forward_similarities(large.cast(burn::tensor::FloatDType::F64)).unwrap()).is_finite()
    );
    let flex = Tensor::<Flex, 3>::full([2, 4, 4], f32::NAN, &Default::default());
    let error = Qare::default().forward_similarities(flex).unwrap_err();
    assert!(error.to_string().contains("view set 1 of 2"), "{error}");
}

use qare_symeig::{EigenError, EigenParams, eigen, eigen_into, eigenvalues, eigenvalues_into};

use crate::check::assert_accurate;
use crate::matrices::{adversarial, random};

#[test]
fn entries_near_the_ends_of_the_range_are_scaled() {
    for order in [1, 2, 5, 40, 100] {
        for factor in [1e36, 1e30, 1e10, 1e-10, 1e-30, 1e-36] {
            assert_accurate(&random(order, 3).scaled(factor));
            for matrix in adversarial(order, 3) {
                let largest = matrix.entries.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                assert_accurate(&matrix.scaled(factor / f64::from(largest.max(1e-3))));
            }
        }
    }
}

#[test]
fn subnormal_entries_are_scaled() {
    for order in [1, 3, 20, 70] {
        for factor in [1e-40, 1e-44] {
            assert_accurate(&random(order, 4).scaled(factor));
        }
    }
}

#[test]
fn powers_of_two_change_no_digit() {
    for order in [2, 30, 90] {
        let mut matrix = random(order, 5);
        // The largest entry: it is scaled to between 1 and 2, where it is here.
        matrix.entries[0] = 1.75;
        let plain = eigen(&matrix.entries, order).unwrap();
        for exponent in [-60, -20, 20, 60] {
            let factor = 2f64.powi(exponent);
            let scaled = eigen(&matrix.scaled(factor).entries, order).unwrap();
            assert_eq!(scaled.vectors, plain.vectors, "2^{exponent}");
            let back: Vec<f32> = scaled.values.iter().map(|value| (f64::from(*value) / factor) as f32).collect();
            assert_eq!(back, plain.values, "2^{exponent}");
        }
    }
}

#[test]
fn nan_and_infinity_are_errors_that_say_where() {
    for order in [1, 2, 17, 64, 65, 100] {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (row, column) in [(0, 0), (order - 1, 0), (order - 1, order - 1), (order / 2, order / 3)] {
                let mut entries = random(order, 6).entries;
                entries[row * order + column] = bad;
                let expected = EigenError::NonFinite { row, column };
                assert_eq!(eigenvalues(&entries, order), Err(expected.clone()));
                assert_eq!(eigen(&entries, order), Err(expected));
            }
        }
    }
}

#[test]
fn the_upper_triangle_is_not_read() {
    for order in [2, 64, 70] {
        let lower = random(order, 7).entries;
        let mut entries = lower.clone();
        for i in 0..order {
            entries[i * order + i + 1..(i + 1) * order].fill(f32::NAN);
        }
        assert_eq!(eigen(&entries, order), eigen(&lower, order));
    }
}

#[test]
fn eigenvalues_beyond_the_range_are_errors() {
    let matrix = vec![f32::MAX; 9];
    let Err(EigenError::Overflow { value }) = eigenvalues(&matrix, 3) else { panic!("3·MAX is not an f32") };
    assert!((value / (3.0 * f64::from(f32::MAX)) - 1.0).abs() < 1e-6);
    assert!(matches!(eigen(&matrix, 3), Err(EigenError::Overflow { .. })));
    assert_eq!(eigenvalues(&[f32::MAX], 1), Ok(vec![f32::MAX]));
}

#[test]
fn a_matrix_of_order_0_has_no_eigenvalues() {
    assert_eq!(eigenvalues(&[], 0), Ok(vec![]));
    assert_eq!(eigen(&[], 0).unwrap().vectors, []);
}

#[test]
#[should_panic(expected = "entries of a matrix of order 3")]
fn a_matrix_of_another_size_is_refused() {
    let _ = eigenvalues_into(&[0.0; 8], &mut [0.0; 3], &EigenParams::default());
}

#[test]
#[should_panic(expected = "entries of 3 eigenvectors")]
fn vectors_of_another_size_are_refused() {
    let _ = eigen_into(&[0.0; 9], &mut [0.0; 3], &mut [0.0; 6], &EigenParams::default());
}

//! The set terms of similarity matrices that are given: bounds, invariances, and entries of any size.

use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use proptest::collection::vec;
use proptest::prelude::*;
use qare::*;

use crate::cases::cases;
use crate::evaluation::{Flex, NdArray64, distance, number};
use crate::oracle::{self, Rows};
use crate::set_terms::expected_of_matrices;

fn of(term: SetTerm) -> Qare {
    QareConfig::new().with_set_term(term).init()
}

fn stack(sets: &[Rows], dtype: DType) -> Tensor<NdArray64, 3> {
    let (count, size) = (sets.len(), sets[0].len());
    let entries = sets.iter().flatten().flatten().copied().collect::<Vec<f64>>();
    Tensor::from_data(TensorData::new(entries, [count, size, size]), (&Default::default(), dtype))
}

/// Value and gradient by the similarities `[K, B, B]`.
fn evaluate(term: SetTerm, sets: &[Rows], dtype: DType) -> (f64, Vec<f64>) {
    let s = stack(sets, dtype).require_grad();
    let value = of(term).forward_similarities(s.clone()).unwrap();
    let gradient = s.grad(&value.backward()).unwrap();
    (number(value), gradient.into_data().iter::<f64>().collect())
}

fn value(term: SetTerm, sets: &[Rows]) -> f64 {
    evaluate(term, sets, DType::F64).0
}

fn mapped(set: &Rows, of: impl Fn(f64) -> f64) -> Rows {
    set.iter().map(|row| row.iter().map(|x| of(*x)).collect()).collect()
}

fn expected(term: SetTerm, sets: &[Rows]) -> f64 {
    if term == SetTerm::Centred {
        // J(1 + s)J = J s J, also where s is lost beside the 1.
        return oracle::product_of_norms(&sets.iter().map(oracle::double_centred).collect::<Vec<_>>());
    }
    expected_of_matrices(term, &sets.iter().map(|set| mapped(set, |x| 1.0 + x)).collect::<Vec<_>>())
}

/// A symmetric matrix whose lower triangle has these entries.
fn symmetric(size: usize, entries: &[f64]) -> Rows {
    (0..size).map(|i| (0..size).map(|j| entries[i.max(j) * size + i.min(j)]).collect()).collect()
}

/// K matrices `[B, B]`.
fn matrices() -> impl Strategy<Value = Vec<Rows>> {
    (2usize..=8, 2usize..=9)
        .prop_flat_map(|(k, size)| vec(vec(-1.0..1.0f64, size * size).prop_map(move |x| symmetric(size, &x)), k))
}

/// Products of norms.
const NORMS: [SetTerm; 2] = [SetTerm::Frobenius, SetTerm::Centred];

/// All terms without spectra.
const WITHOUT_SPECTRA: [SetTerm; 4] = [SetTerm::Frobenius, SetTerm::Centred, SetTerm::Mean, SetTerm::Uniformity];

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn values_and_slopes_are_those_of_the_formula(sets in matrices(), direction in vec(-1.0..1.0f64, 8 * 81)) {
        for term in WITHOUT_SPECTRA {
            let exact = expected(term, &sets);
            prop_assume!(!NORMS.contains(&term) || exact > 1e-3);
            let (value, gradient) = evaluate(term, &sets, DType::F64);
            let bound = 1e-12 * exact.abs().max(1e-3);
            prop_assert!((value - exact).abs() <= bound, "{}: {} for {}", term, value, exact);
            let size = sets[0].len();
            let moved = |by: f64| {
                let along = |k: usize, i: usize, j: usize| direction[(k * size + i.max(j)) * size + i.min(j)];
                let moved: Vec<Rows> = (0..sets.len())
                    .map(|k| (0..size).map(|i| (0..size).map(|j| sets[k][i][j] + by * along(k, i, j)).collect()).collect())
                    .collect();
                (expected(term, &moved), moved)
            };
            let step = 1e-5;
            let slope = (moved(step).0 - moved(-step).0) / (2.0 * step);
            let along: Vec<f64> = moved(1.0).1.concat().concat().iter().zip(sets.concat().concat()).map(|(a, b)| a - b).collect();
            let found: f64 = gradient.iter().zip(&along).map(|(g, d)| g * d).sum();
            // A norm's third derivative goes with one over its square.
            prop_assert!((found - slope).abs() <= 1e-5 * slope.abs().max(0.1), "{}: {} for {}", term, found, slope);
        }
    }

    /// tr(S_1 S_2)/(B(B−1)) ≤ q ≤ q_F, of all matrices, positive or not.
    #[test]
    fn the_spectral_term_is_between_the_trace_and_the_norms(sets in matrices()) {
        let [first, second] = [&sets[0], &sets[1]].map(|set| mapped(set, |x| 1.0 + x));
        let size = first.len() as f64;
        let trace: f64 = first.concat().iter().zip(second.concat()).map(|(a, b)| a * b).sum();
        let [spectral, norms] = [SetTerm::Spectral, SetTerm::Frobenius].map(|term| value(term, &sets[..2]));
        prop_assert!(trace / (size * (size - 1.0)) <= spectral + 1e-12 * norms);
        prop_assert!(spectral <= norms * (1.0 + 1e-12), "{} is above {}", spectral, norms);
        let [spectral, norms] = [SetTerm::Spectral, SetTerm::Frobenius].map(|term| value(term, &sets));
        prop_assert!(spectral <= norms * (1.0 + 1e-12), "{} is above {}", spectral, norms);
    }

    /// Q diag(cλ) Qᵀ with c > 0 has a spectrum in proportion to that of diag(λ), whatever the rotation Q.
    #[test]
    fn of_proportional_spectra_the_bound_is_reached(sets in matrices(), factor in 0.1..10.0f64, by in 0usize..9) {
        let one = mapped(&sets[0], |x| 1.0 + x);
        let size = one.len();
        // A reflection, and a permutation.
        let axis: Vec<f64> = sets[1][0].iter().map(|x| x + 0.01).collect();
        let square: f64 = axis.iter().map(|x| x * x).sum();
        let q = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 } - 2.0 * axis[i] * axis[(j + by) % size] / square;
        let q = |i: usize, j: usize| if by % size == 0 { q(i, j) } else if (i + by) % size == j { 1.0 } else { 0.0 };
        let product = |a: &dyn Fn(usize, usize) -> f64, b: &dyn Fn(usize, usize) -> f64| -> Rows {
            (0..size).map(|i| (0..size).map(|j| (0..size).map(|l| a(i, l) * b(l, j)).sum()).collect()).collect()
        };
        let half = product(&q, &|i, j| factor * one[i][j]);
        let turned = product(&|i, j| half[i][j], &|i, j| q(j, i));
        let pair = [sets[0].clone(), mapped(&turned, |x| x - 1.0)];
        let [spectral, norms] = [SetTerm::Spectral, SetTerm::Frobenius].map(|term| value(term, &pair));
        prop_assert!((spectral - norms).abs() <= 1e-11 * norms, "{} and {}", spectral, norms);
    }

    /// Each set's images by themselves.
    #[test]
    fn no_term_knows_the_order_of_images(sets in matrices(), turns in vec(0usize..9, 8)) {
        let size = sets[0].len();
        let turn = |(set, by): (&Rows, &usize)| -> Rows {
            (0..size).map(|i| (0..size).map(|j| set[(i + by) % size][(j + by) % size]).collect()).collect()
        };
        let turned: Vec<Rows> = sets.iter().zip(&turns).map(turn).collect();
        for term in WITHOUT_SPECTRA {
            let (one, other) = (value(term, &sets), value(term, &turned));
            let bound = 1e-12 * one.abs().max(1e-3);
            prop_assert!((one - other).abs() <= bound, "{}: {} and {}", term, one, other);
        }
    }

    #[test]
    fn the_centred_term_does_not_know_the_mean_similarity(sets in matrices(), added in vec(-10.0..10.0f64, 8)) {
        prop_assume!(expected(SetTerm::Centred, &sets) > 1e-6);
        let moved: Vec<Rows> = sets.iter().zip(&added).map(|(set, by)| mapped(set, |x| x + by)).collect();
        let [(one, gradient), (other, of_moved)] = [&sets, &moved].map(|sets| evaluate(SetTerm::Centred, sets, DType::F64));
        prop_assert!((one - other).abs() <= 1e-11 * one, "{} and {}", one, other);
        prop_assert!(distance(&of_moved, &gradient) < 1e-9);
        // Nor does the gradient change it: its rows and columns come to 0.
        let largest = gradient.iter().fold(0.0f64, |most, g| most.max(g.abs()));
        for row in gradient.chunks_exact(sets[0].len()) {
            prop_assert!(row.iter().sum::<f64>().abs() <= 1e-12 * largest);
        }
    }
}

#[test]
fn similarities_of_every_size_of_sets() {
    let sets: Vec<Rows> = (0..3).map(|k| symmetric(12, &crate::evaluation::random_rows(1, 144, k).concat())).collect();
    for scale in [1e-30, 1e-18, 1e-3, 1.0, 1e6, 1e15, 1e18] {
        // Without the 1 that is added, so that small ones are small matrices: for `centred` it is not added at all.
        let scaled: Vec<Rows> = sets.iter().map(|set| mapped(set, |x| x * scale)).collect();
        for term in NORMS {
            let less = if term == SetTerm::Frobenius && scale >= 1.0 { 1.0 } else { 0.0 };
            let sets: Vec<Rows> = scaled.iter().map(|set| mapped(set, |x| x - less)).collect();
            let exact = expected(term, &sets);
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 1e-5)] {
                let (value, gradient) = evaluate(term, &sets, dtype);
                // 10⁻⁶⁰ is less than an f32 can be.
                let least = if dtype == DType::F32 { 1e-44 } else { 0.0 };
                assert!((value - exact).abs() <= tolerance * exact + least, "{scale:e}, {term}: {value} for {exact}");
                // ∂q/∂S_1 is of the length of the other norms' mean, over B(B − 1).
                let length = |x: &[f64]| x.iter().fold(0.0, |sum: f64, x| sum.hypot(*x));
                let matrix = |set: &Rows| match term {
                    SetTerm::Centred => oracle::double_centred(set).concat(),
                    _ => mapped(set, |x| 1.0 + x).concat(),
                };
                let others = (length(&matrix(&sets[1])) + length(&matrix(&sets[2]))) / (3.0 * 12.0 * 11.0);
                let found = length(&gradient[..144]);
                assert!((found - others).abs() <= 10.0 * tolerance * others, "{scale:e}, {term}: {found} for {others}");
            }
        }
    }
}

#[test]
fn of_sets_that_dwarf_one_another_each_counts() {
    let set = |seed| symmetric(5, &crate::evaluation::random_rows(1, 25, seed).concat());
    let sets = [mapped(&set(1), |x| 1e12 * x), mapped(&set(2), |x| 1e-3 * x), set(3)];
    for dtype in [DType::F32, DType::F64] {
        let (value, gradient) = evaluate(SetTerm::Centred, &sets, dtype);
        let exact = expected(SetTerm::Centred, &sets);
        assert!((value - exact).abs() < 1e-5 * exact, "{value} for {exact}");
        let lengths: Vec<f64> =
            gradient.chunks_exact(25).map(|g| g.iter().map(|x| x * x).sum::<f64>().sqrt()).collect();
        let norms = sets.each_ref().map(|set| oracle::product_of_norms(&vec![oracle::double_centred(set); 2]).sqrt());
        for k in 0..3 {
            let others = (norms[(k + 1) % 3] + norms[(k + 2) % 3]) / (3.0 * 20f64.sqrt());
            assert!((lengths[k] - others).abs() < 1e-5 * others, "set {k}: {} for {others}", lengths[k]);
        }
    }
}

#[test]
fn a_matrix_of_nothing_has_no_gradient() {
    let some = symmetric(4, &crate::evaluation::random_rows(1, 16, 3).concat());
    for dtype in [DType::F32, DType::F64] {
        for (term, nothing) in [(SetTerm::Frobenius, -1.0), (SetTerm::Centred, 0.3), (SetTerm::Centred, -7.7)] {
            let (value, gradient) = evaluate(term, &[vec![vec![nothing; 4]; 4], some.clone()], dtype);
            assert_eq!(value, 0.0, "{term}");
            assert_eq!(gradient, [0.0; 32], "{term}");
        }
    }
}

#[test]
fn half_precision_matrices_are_computed_in_f32() {
    let sets = [1, 2].map(|seed| symmetric(6, &crate::evaluation::random_rows(1, 36, seed).concat()));
    let single = TensorData::new(sets.concat().concat(), [2, 6, 6]);
    let single = Tensor::<Flex, 3>::from_data(single, (&Default::default(), DType::F32));
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        for term in WITHOUT_SPECTRA {
            let half = single.clone().cast(dtype);
            let value = of(term).forward_similarities(half.clone()).unwrap();
            assert_eq!(value.dtype(), DType::F32);
            assert_eq!(number(value), number(of(term).forward_similarities(half.cast(FloatDType::F32)).unwrap()));
        }
    }
}

#[test]
fn what_has_no_norm_is_an_error_that_says_where() {
    for term in SetTerm::ALL {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut entries = vec![0.5f32; 48];
            entries[16 + 6] = bad;
            let s = Tensor::<Flex, 3>::from_data(TensorData::new(entries, [3, 4, 4]), &Default::default());
            let error = of(term).forward_similarities(s).unwrap_err();
            assert!(matches!(error, ObjectiveError::NonFinite { .. }), "{term}: {error}");
            for part in ["view set 2 of 3", "row 1, column 2"] {
                assert!(error.to_string().contains(part), "{term}: {error}");
            }
        }
        let large = |dtype| {
            let set = symmetric(5, &crate::evaluation::random_rows(1, 25, 3).concat());
            of(term).forward_similarities(stack(&vec![mapped(&set, |x| 1e30 * x); 2], dtype))
        };
        // 10³⁰ squared is more than an f32 can be, and no more than an f64. Uniformity does not square.
        match large(DType::F32) {
            Ok(value) => assert!(term == SetTerm::Uniformity && number(value).is_finite(), "{term}"),
            Err(error) => assert!(matches!(error, ObjectiveError::Overflow { .. }), "{term}: {error}"),
        }
        assert!(number(large(DType::F64).unwrap()).is_finite());
        let error =
            of(term).forward_similarities(Tensor::<Flex, 3>::zeros([2, 3, 4], &Default::default())).unwrap_err();
        assert_eq!(error, ObjectiveError::BadSetShape { shape: [2, 3, 4] });
    }
}

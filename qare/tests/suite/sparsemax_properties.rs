//! Properties of sparsemax on any row: it is the projection onto the simplex, and it keeps the order of the entries.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::Flex;
use proptest::collection::vec;
use proptest::prelude::*;
use qare::{sparsemax, sparsemax_support};

use crate::cases::cases;
use crate::oracle;

/// Largest width that is drawn.
const WIDTH: usize = 300;
/// Largest magnitude that is drawn where rows are compared with the projection in exact arithmetic.
const MAGNITUDE: f64 = 128.0;

/// By how much the probabilities of a row may miss 1: a projection is taken as it is from 5e-5 (in f64, 5e-11) on, and a sum of
/// [`WIDTH`] terms that sum to 1 is off by at most as many roundings.
fn slack(dtype: DType) -> f64 {
    let (taken, rounding) = if dtype == DType::F64 { (5e-11, 2f64.powi(-53)) } else { (5e-5, 2f64.powi(-24)) };
    taken + WIDTH as f64 * rounding + MAGNITUDE * rounding
}

/// Rows of all sorts: spread out, collapsed onto a level, in clusters, with ties, with one entry apart.
fn row() -> impl Strategy<Value = Vec<f64>> {
    let spread = prop_oneof![Just(1.0), Just(0.0), Just(1e-7), Just(1e-3), Just(MAGNITUDE)];
    let apart = prop_oneof![Just(0.0), Just(0.5), Just(-0.5), Just(3.0)];
    (vec(-1.0..1.0f64, 1..=WIDTH), spread, -1.0..1.0f64, apart, 1usize..8).prop_map(
        |(noise, spread, level, apart, clusters)| {
            let mut row: Vec<f64> =
                noise.iter().enumerate().map(|(j, x)| level + spread * x + 0.1 * (j % clusters) as f64).collect();
            row[0] += apart;
            row.iter().map(|x| f64::from(*x as f32).clamp(-MAGNITUDE, MAGNITUDE)).collect()
        },
    )
}

fn tensor(row: &[f64], dtype: DType) -> Tensor<Flex, 2> {
    let tensor = Tensor::from_data(TensorData::new(row.to_vec(), [1, row.len()]), (&Default::default(), dtype));
    assert_eq!(tensor.dtype(), dtype);
    tensor
}

fn numbers<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn projected(row: &[f64], dtype: DType) -> Vec<f64> {
    numbers(sparsemax(tensor(row, dtype)))
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn probabilities_are_a_distribution_in_the_order_of_the_row(row in row()) {
        for dtype in [DType::F32, DType::F64] {
            let p = projected(&row, dtype);
            prop_assert!(p.iter().all(|p| *p >= 0.0));
            let sum: f64 = p.iter().sum();
            prop_assert!((sum - 1.0).abs() <= slack(dtype), "{:?}: they sum to {}", dtype, sum);
            // Exactly: what is taken off is the same for all, and rounding keeps the order.
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*a].total_cmp(&row[*b]));
            prop_assert!(order.windows(2).all(|pair| p[pair[0]] <= p[pair[1]]));
            prop_assert!(order.windows(2).all(|pair| row[pair[0]] < row[pair[1]] || p[pair[0]] == p[pair[1]]));
            let support = numbers(sparsemax_support(tensor(&row, dtype)));
            prop_assert!(p.iter().zip(&support).all(|(p, inside)| *inside == f64::from(*p > 0.0)));
        }
    }

    /// By the variational inequality, ⟨z − p, e_k − p⟩ ≤ 0 for every corner e_k of the simplex; and by sorting.
    #[test]
    fn they_are_the_projection_onto_the_simplex(row in row()) {
        for dtype in [DType::F32, DType::F64] {
            let p = projected(&row, dtype);
            let along: f64 = row.iter().zip(&p).map(|(z, p)| (z - p) * p).sum();
            let most = row.iter().zip(&p).map(|(z, p)| z - p).fold(f64::NEG_INFINITY, f64::max);
            // Of a threshold τ that is off by δ, both terms are: the first times the sum of the probabilities.
            let tolerance = slack(dtype) * (2.0 + 2.0 * MAGNITUDE);
            prop_assert!(most - along <= tolerance, "{:?}: a corner is nearer by {:e}", dtype, most - along);
            let (tau, _) = oracle::sparsemax_threshold(&row);
            for (z, p) in row.iter().zip(&p) {
                let exact = (z - tau).max(0.0);
                prop_assert!((p - exact).abs() <= slack(dtype), "{:?}: {} for {}", dtype, p, exact);
            }
        }
    }

    #[test]
    fn a_permuted_row_has_the_permuted_projection(row in row().prop_flat_map(|row| (Just(row.clone()), Just(row).prop_shuffle()))) {
        let (row, shuffled) = row;
        let sorted = |mut p: Vec<f64>| { p.sort_by(f64::total_cmp); p };
        let (one, other) = (sorted(projected(&row, DType::F32)), sorted(projected(&shuffled, DType::F32)));
        prop_assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() <= 2.0 * slack(DType::F32)));
    }

    /// The projection of z + c is that of z, also where 1 is less than a rounding of c.
    #[test]
    fn rows_of_any_level_have_a_projection(
        steps in vec(0u32..3, 1..40),
        level in prop_oneof![Just(1e3), Just(-1e5), Just(1e7), Just(-1e9), Just(1e20), Just(-1e38)],
    ) {
        // Entries one, two, … steps of f32 apart: differences that hold exactly.
        let level = level as f32;
        let row: Vec<f64> =
            steps.iter().map(|steps| f64::from(f32::from_bits(level.to_bits() + steps))).collect();
        let p = projected(&row, DType::F32);
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exact: Vec<f64> = row.iter().map(|x| x - largest).collect();
        let (tau, _) = oracle::sparsemax_threshold(&exact);
        let sum: f64 = p.iter().sum();
        // One step of f32, where that is less than the difference the sum is allowed.
        let rounding = (largest.abs() * 2f64.powi(-24)).min(1.0);
        prop_assert!(sum.is_finite() && (sum - 1.0).abs() <= slack(DType::F32) + rounding, "they sum to {}", sum);
        for (exact, p) in exact.iter().zip(&p) {
            let exact = (exact - tau).max(0.0);
            prop_assert!((p - exact).abs() <= slack(DType::F32) + rounding, "{} for {}", p, exact);
        }
    }

    #[test]
    fn entries_of_minus_infinity_count_for_nothing(row in row(), at in any::<prop::sample::Index>()) {
        let mut hidden = row.clone();
        hidden.insert(at.index(row.len() + 1), f64::NEG_INFINITY);
        let mut p = projected(&hidden, DType::F32);
        prop_assert_eq!(p.remove(at.index(row.len() + 1)), 0.0);
        let expected = projected(&row, DType::F32);
        prop_assert!(p.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 2.0 * slack(DType::F32)));
    }
}

//! Properties of the set term, of spectra and of the objectives on any batch.

use burn::tensor::{DType, Tensor, TensorData};
use proptest::collection::vec;
use proptest::prelude::*;
use qare::*;

use crate::cases::cases;
use crate::evaluation::{Flex, NdArray, NdArray64, Path, distance, evaluate, number, of_type, rounded};
use crate::oracle::{self, Rows};

/// A batch of K·B rows, and K.
fn batch() -> impl Strategy<Value = (Rows, usize)> {
    let noise = prop_oneof![Just(1.0), Just(0.3), Just(0.01)];
    (2usize..=3, 2usize..=9, 1usize..=12, noise).prop_flat_map(|(k, images, dim, noise)| {
        (vec(vec(-1.0..1.0f64, dim), k * images), vec(-1.0..1.0f64, dim), -1.0..1.0f64).prop_map(
            move |(rows, common, level)| {
                // All rows around one direction where the noise is small, and never of length 0.
                let row = |row: &Vec<f64>| {
                    row.iter().zip(&common).map(|(x, c)| noise * x + (1.0 - noise) * (c + level.signum())).collect()
                };
                let rows: Rows = rows.iter().map(row).collect();
                (rounded(&rows), k)
            },
        )
    })
}

fn lengths(rows: &Rows) -> f64 {
    rows.iter().map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).fold(f64::INFINITY, f64::min)
}

/// The set term by the host's code in f32, and by tensor operations in f64.
fn terms(rows: &Rows, k: usize) -> [(f64, f64); 2] {
    let views = Views::new(k).unwrap();
    let single = number(Qare::default().forward(of_type::<Flex>(rows, DType::F32), views).unwrap());
    let double = number(Qare::default().forward(of_type::<NdArray64>(rows, DType::F64), views).unwrap());
    // The bounds on the value that the fused path is held to elsewhere.
    [(single, 2e-5), (double, 1e-11)]
}

/// S = 1 + s of each view set.
fn matrices(rows: &Rows, k: usize) -> Vec<Rows> {
    let images = rows.len() / k;
    let set = |view: usize| -> Rows { (0..images).map(|image| rows[image * k + view].clone()).collect() };
    let plus_one = |s: Rows| -> Rows { s.iter().map(|row| row.iter().map(|x| 1.0 + x).collect()).collect() };
    (0..k).map(|view| plus_one(oracle::floored(&set(view)))).collect()
}

/// ⟨A, B⟩, the sum of the products of their entries.
fn inner(a: &Rows, b: &Rows) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| x * y).sum()
}

/// The mean of a function over all pairs of matrices.
fn mean_of_pairs(matrices: &[Rows], of: impl Fn(&Rows, &Rows) -> f64) -> f64 {
    let pairs: Vec<f64> = (0..matrices.len())
        .flat_map(|a| (a + 1..matrices.len()).map(move |b| (a, b)))
        .map(|(a, b)| of(&matrices[a], &matrices[b]))
        .collect();
    pairs.iter().sum::<f64>() / pairs.len() as f64
}

proptest! {
    #![proptest_config(cases(128))]

    /// tr(S_1 S_2) ≤ B(B−1)·q ≤ ‖S_1‖‖S_2‖, by the rearrangement inequality and by Cauchy and Schwarz.
    #[test]
    fn the_set_term_is_between_the_trace_and_the_product_of_norms((rows, k) in batch()) {
        prop_assume!(lengths(&rows) > 1e-3);
        let images = (rows.len() / k) as f64;
        let matrices = matrices(&rows, k);
        let scale = images * (images - 1.0);
        let least = mean_of_pairs(&matrices, inner) / scale;
        let most = mean_of_pairs(&matrices, |a, b| (inner(a, a) * inner(b, b)).sqrt()) / scale;
        let expected = oracle::qare(&rows, k);
        for (value, tolerance) in terms(&rows, k) {
            prop_assert!((value - expected).abs() <= tolerance * expected, "{} for {}", value, expected);
            prop_assert!(value >= least - tolerance * most, "{} is below {}", value, least);
            prop_assert!(value <= most * (1.0 + tolerance), "{} is above {}", value, most);
        }
    }

    /// A spectrum knows no order: the images of each view set may be permuted by themselves. Nor does it know lengths, and no view set
    /// is the first.
    #[test]
    fn the_set_term_does_not_know_the_order_of_images(
        (rows, k) in batch(),
        seed in any::<u64>(),
        lengths_of in vec(-8i32..8, 27),
    ) {
        prop_assume!(lengths(&rows) > 1e-3);
        let images = rows.len() / k;
        let mut shuffled = rows.clone();
        let mut state = seed;
        for view in 0..k {
            for last in (1..images).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let other = (state >> 33) as usize % (last + 1);
                shuffled.swap(last * k + view, other * k + view);
            }
        }
        shuffled.chunks_exact_mut(k).for_each(|views| views.reverse());
        for (row, power) in shuffled.iter_mut().zip(&lengths_of) {
            row.iter_mut().for_each(|x| *x *= 2f64.powi(*power));
        }
        for ((one, tolerance), (other, _)) in terms(&rows, k).into_iter().zip(terms(&shuffled, k)) {
            prop_assert!((one - other).abs() <= tolerance * one, "{} and {}", one, other);
        }
    }

    /// Of images permuted together, every objective has the same value, and the gradient of each row goes with it.
    #[test]
    fn objectives_do_not_know_the_order_of_images((rows, k) in batch(), by in 1usize..8) {
        prop_assume!(lengths(&rows) > 1e-3);
        let turn = by * k % rows.len();
        let mut turned = rows.clone();
        turned.rotate_left(turn);
        for config in [ContrastiveObjectiveConfig::simclr_qare(1.0, 0.5), ContrastiveObjectiveConfig::sparseclr_qare(1.0, 0.5)] {
            let objective = config.init().unwrap();
            let of = |rows: &Rows| evaluate::<NdArray64>(&objective, rows, k, DType::F64, Path::Tensors).unwrap();
            let ((value, mut gradient), (other, of_turned)) = (of(&rows), of(&turned));
            gradient.rotate_left(turn * rows[0].len());
            prop_assert!((value - other).abs() <= 1e-11 * value.abs().max(1.0), "{} and {}", value, other);
            let largest = gradient.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
            // Where the gradient has all but vanished, it is what rounding leaves of terms of the size of one over a row's length.
            let tolerance = 1e-8 * largest + 1e-12 / lengths(&rows);
            for (a, b) in gradient.iter().zip(&of_turned) {
                prop_assert!((a - b).abs() <= tolerance, "{} and {}", a, b);
            }
        }
    }

    /// Against central differences of the loss written out literally, where it can be differentiated: no similarity at its floor, no
    /// two eigenvalues that change places.
    #[test]
    fn the_gradient_is_the_slope_of_the_set_term((rows, k) in batch(), direction in vec(-1.0..1.0f64, 27 * 12)) {
        prop_assume!(lengths(&rows) > 0.1);
        let matrices = matrices(&rows, k);
        prop_assume!(matrices.iter().flatten().flatten().all(|s| (s - 1.0).abs() > 1e-3));
        let apart = |matrix: &Rows| oracle::eigenvalues(matrix.clone()).windows(2).all(|pair| pair[1] - pair[0] > 1e-2);
        prop_assume!(matrices.iter().all(apart));
        let z = of_type::<NdArray64>(&rows, DType::F64).require_grad();
        let value = Qare::default().forward(z.clone(), Views::new(k).unwrap()).unwrap();
        let gradient: Vec<f64> = z.grad(&value.backward()).unwrap().into_data().iter::<f64>().collect();
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let dim = rows[0].len();
        let step = 1e-5;
        let moved = |by: f64| {
            let rows: Rows = rows
                .iter()
                .zip(direction.chunks_exact(dim))
                .map(|(row, along)| row.iter().zip(along).map(|(x, d)| x + by * d).collect())
                .collect();
            oracle::qare(&rows, k)
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        // A third derivative goes with the cube of one over the length, 1e3 at most here, and with one over the square of a gap, 1e4:
        // times the square of the step, 1e-3 of the slope's own scale at the very worst, and 1e-6 in practice.
        let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-2);
        prop_assert!((slope - expected).abs() <= 1e-5 * scale, "{} for {}", slope, expected);
        let (_, of_host) = evaluate::<Flex>(
            &ContrastiveObjectiveConfig::simclr_qare(0.0, 1.0).init().unwrap(), &rows, k, DType::F32, Path::Chosen).unwrap();
        // The host's promise of 1e-5 of the gradient of S, on its way through the unit rows in f32.
        if gradient.iter().any(|g| g.abs() > 1e-3) {
            prop_assert!(distance(&of_host, &gradient) < 1e-3);
        }
    }

    /// NaN and infinity anywhere are errors that name the row, on every path.
    #[test]
    fn what_is_no_number_is_refused_by_its_row(
        (rows, k) in batch(),
        at in any::<prop::sample::Index>(),
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ) {
        let dim = rows[0].len();
        let at = at.index(rows.len() * dim);
        let mut rows = rows;
        rows[at / dim][at % dim] = bad;
        let name = format!("row {} of", at / dim);
        for config in [
            ContrastiveObjectiveConfig::simclr(),
            ContrastiveObjectiveConfig::sparseclr(),
            ContrastiveObjectiveConfig::simclr_qare(0.0, 1.0),
            ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0),
        ] {
            let objective = config.init().unwrap();
            for path in [Path::Chosen, Path::Tensors] {
                for error in [
                    evaluate::<Flex>(&objective, &rows, k, DType::F32, path).unwrap_err(),
                    evaluate::<NdArray>(&objective, &rows, k, DType::F64, path).unwrap_err(),
                ] {
                    let refused = matches!(&error, ObjectiveError::NonFinite { quantity } if quantity.starts_with(&name));
                    prop_assert!(refused, "{}, {:?}: {}", config, path, error);
                }
            }
        }
    }

    /// Of A and P A Pᵀ; Σ λ = tr A and Σ λ² = ‖A‖².
    #[test]
    fn spectra_do_not_know_the_order_of_rows(
        size in 1usize..24,
        entries in vec(-1.0..1.0f64, 24 * 24),
        turn in 0usize..24,
        power in prop_oneof![Just(0), Just(-300), Just(300)],
    ) {
        let entry = |i: usize, j: usize| 2f64.powi(power) * entries[i.max(j) * 24 + i.min(j)];
        let of = |place: &dyn Fn(usize) -> usize| {
            let matrix: Vec<f64> =
                (0..size * size).map(|at| entry(place(at / size), place(at % size))).collect();
            let matrix = Tensor::<NdArray64, 3>::from_data(
                TensorData::new(matrix, [1, size, size]), (&Default::default(), DType::F64));
            symmetric_eigen(matrix).unwrap().values.remove(0)
        };
        let (values, turned) = (of(&|i| i), of(&|i| (i + turn) % size));
        prop_assert!(values.is_sorted());
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        // A backward stable solver changes A by a few ε of its norm for each row.
        let tolerance = 1e-14 * size as f64 * norm.max(f64::MIN_POSITIVE);
        for (a, b) in values.iter().zip(&turned) {
            prop_assert!((a - b).abs() <= tolerance, "{} and {}", a, b);
        }
        let trace: f64 = (0..size).map(|i| entry(i, i)).sum();
        prop_assert!((values.iter().sum::<f64>() - trace).abs() <= tolerance * size as f64);
        let frobenius: f64 = (0..size * size).map(|at| entry(at / size, at % size).powi(2)).sum();
        prop_assert!((norm - frobenius.sqrt()).abs() <= tolerance);
    }
}

//! Embeddings of every finite length: the losses are those of the literal formulas, the gradients those of finite differences.

use burn::tensor::DType;
use qare::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluation::{Flex, NdArray, NdArray64, Path, distance, evaluate, random_rows, rounded, scaled};
use crate::oracle::{self, Rows};

/// An objective, and its formula.
struct Case {
    name: &'static str,
    objective: ContrastiveObjective,
    value: fn(&Rows, usize) -> f64,
}

fn cases() -> Vec<Case> {
    let of = |name, config: ContrastiveObjectiveConfig, value| Case { name, objective: config.init().unwrap(), value };
    let logs = NtXentConfig::new().with_temperature(0.3).with_reduction(NtXentReduction::MeanOfLogs);
    vec![
        of("simclr", ContrastiveObjectiveConfig::simclr(), |z, k| oracle::nt_xent(&oracle::cosine(z), k, 0.5, false)),
        of(
            "NT-Xent as a mean of logs, floored",
            ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(logs.with_similarity(Similarity::FlooredCosine))),
            |z, k| oracle::nt_xent(&oracle::floored(z), k, 0.3, true),
        ),
        of("sparseclr", ContrastiveObjectiveConfig::sparseclr(), |z, k| oracle::sparse_clr(&oracle::cosine(z), k, 1.0)),
        of("sparseclr_qare", ContrastiveObjectiveConfig::sparseclr_qare(0.7, 1.5), |z, k| {
            0.7 * oracle::sparse_clr(&oracle::floored(z), k, 1.0) + 1.5 * oracle::qare(z, k)
        }),
        of(
            "QARe without a floor",
            ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0)
                .with_qare(Some(QareConfig::new().with_similarity_floor(SimilarityFloor::None))),
            |z, k| oracle::qare_of(z, k, oracle::unfloored),
        ),
        of("norms", of_norms(SetTerm::Frobenius, SimilarityFloor::Epsilon), |z, k| {
            oracle::product_of_norms(&oracle::set_matrices(z, k, oracle::floored, false))
        }),
        of("norms without a floor", of_norms(SetTerm::Frobenius, SimilarityFloor::None), |z, k| {
            oracle::product_of_norms(&oracle::set_matrices(z, k, oracle::unfloored, false))
        }),
        of("centred norms", of_norms(SetTerm::Centred, SimilarityFloor::Epsilon), |z, k| {
            oracle::product_of_norms(&oracle::set_matrices(z, k, oracle::floored, true))
        }),
        of("centred norms without a floor", of_norms(SetTerm::Centred, SimilarityFloor::None), |z, k| {
            oracle::product_of_norms(&oracle::set_matrices(z, k, oracle::unfloored, true))
        }),
    ]
}

/// The set term alone.
fn of_norms(set_term: SetTerm, floor: SimilarityFloor) -> ContrastiveObjectiveConfig {
    let qare = QareConfig::new().with_set_term(set_term).with_similarity_floor(floor);
    ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0).with_qare(Some(qare))
}

/// What the formula's differences are, at steps in proportion to each row's length.
fn differences(case: &Case, rows: &Rows, k: usize) -> Vec<f64> {
    let mut differences = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let step = 1e-5 * row.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        for j in 0..row.len() {
            let moved = |by: f64| {
                let mut rows = rows.clone();
                rows[i][j] += by;
                (case.value)(&rows, k)
            };
            differences.push((moved(step) - moved(-step)) / (2.0 * step));
        }
    }
    differences
}

fn largest(row: &[f64]) -> f64 {
    row.iter().fold(0.0f64, |most, x| most.max(x.abs()))
}

/// Every path on these rows: values against the formula, gradients in f64 against its differences, and gradients in f32 against
/// those; row by row, for one row's may be all that is to be seen of the others.
fn assert_right(case: &Case, rows: &Rows, k: usize, batch: &str) {
    let dim = rows[0].len();
    let rows = rounded(rows);
    let expected = (case.value)(&rows, k);
    assert!(expected.is_finite(), "{batch}, {}: no case", case.name);
    let (value, exact) = evaluate::<NdArray64>(&case.objective, &rows, k, DType::F64, Path::Chosen)
        .unwrap_or_else(|error| panic!("{batch}, {}, f64: {error}", case.name));
    assert!(
        (value - expected).abs() <= 1e-9 * expected.abs().max(0.1),
        "{batch}, {}, f64: {value} for {expected}",
        case.name
    );
    let differences = differences(case, &rows, k);
    for (i, (found, expected)) in exact.chunks_exact(dim).zip(differences.chunks_exact(dim)).enumerate() {
        let length = largest(&rows[i]);
        if length == 0.0 {
            continue; // no step to take
        }
        // What rounding does to a value of about 1, over the step.
        let allowed = 1e-5 * largest(expected) + 1e-14 * value.abs().max(1.0) / (1e-5 * length);
        let off = found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(off <= allowed, "{batch}, {}, f64: row {i}'s gradient is {found:?} for {expected:?}", case.name);
    }

    let ways: [(&str, Result<_, _>); 4] = [
        ("flex", evaluate::<Flex>(&case.objective, &rows, k, DType::F32, Path::Chosen)),
        ("flex, tensors", evaluate::<Flex>(&case.objective, &rows, k, DType::F32, Path::Tensors)),
        ("ndarray", evaluate::<NdArray>(&case.objective, &rows, k, DType::F32, Path::Chosen)),
        ("ndarray, tensors", evaluate::<NdArray>(&case.objective, &rows, k, DType::F32, Path::Tensors)),
    ];
    for (way, outcome) in ways {
        let what = format!("{batch}, {}, {way}", case.name);
        let (value, gradient) = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!((value - expected).abs() <= 2e-5 * expected.abs().max(0.1), "{what}: {value} for {expected}");
        for (i, (found, expected)) in gradient.chunks_exact(dim).zip(exact.chunks_exact(dim)).enumerate() {
            // As many digits as a row's parts leave: each is at most about one over its length (or the floor under that); and
            // a subnormal number has no more than it has.
            let parts = 1.0 / largest(&rows[i]).max(1e-12) / rows.len() as f64;
            let allowed = 1e-3 * largest(expected) + 1e-6 * parts.min(1e8) + 1e-43;
            let off = found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(off <= allowed, "{what}: row {i}'s gradient is {found:?} for {expected:?}");
        }
    }
}

#[test]
fn all_rows_of_one_scale() {
    let base = random_rows(12, 5, 1);
    for scale in
        [1e-3, 1e-6, 1e-10, 1e-11, 1e-15, 1e-19, 1e-25, 1e-30, 1e-37, 1e3, 1e10, 1e18, 1e19, 1e20, 1e30, 1e37, 3e38]
    {
        for case in cases() {
            // NT-Xent of rows that are all but zero has a loss from 8 rows on, at a temperature of 0.5, and from 30 at 0.3.
            let rows = if case.name.starts_with("NT-Xent") { random_rows(32, 5, 2) } else { base.clone() };
            assert_right(&case, &scaled(&rows, |_| scale), 2, &format!("all of {scale:e}"));
        }
    }
}

#[test]
fn rows_of_many_scales() {
    for (seed, (least, most)) in
        [(-3, 3), (-6, 2), (-11, -9), (-13, 0), (-18, 18), (0, 38), (15, 25), (-30, 25), (-20, 5), (-37, -25), (-9, 20)]
            .into_iter()
            .enumerate()
    {
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        for case in cases() {
            for k in [2, 3] {
                let rows = random_rows(if case.name.starts_with("NT-Xent") { 36 } else { 12 }, 4, seed as u64);
                let factors: Vec<f64> =
                    rows.iter().map(|_| 10f64.powf(rng.random_range(f64::from(least)..f64::from(most)))).collect();
                assert_right(&case, &scaled(&rows, |i| factors[i]), k, &format!("10^{least} to 10^{most}, {k} views"));
            }
        }
    }
}

#[test]
fn subnormal_rows_and_rows_of_the_largest_numbers() {
    let base = random_rows(36, 4, 5);
    for factor in [f64::from(f32::MIN_POSITIVE) / 8.0, 1e-42, f64::from(f32::MAX)] {
        for case in cases() {
            assert_right(&case, &scaled(&base, |_| factor), 2, &format!("all of {factor:e}"));
            assert_right(
                &case,
                &scaled(&base, |i| if i == 3 { factor } else { 1.0 }),
                2,
                &format!("one of {factor:e}"),
            );
        }
    }
    // Subnormal numbers beside ordinary ones in a row.
    let mut rows = base.clone();
    rows.iter_mut().for_each(|row| row[1] *= 1e-41);
    cases().iter().for_each(|case| assert_right(case, &rows, 2, "a subnormal column"));
}

#[test]
fn zero_rows() {
    for zeros in [vec![3], vec![0, 1], vec![0, 5, 6, 11]] {
        for scale in [1e-30, 1e-5, 1.0, 1e30] {
            let rows = scaled(&random_rows(36, 4, 8), |i| if zeros.contains(&i) { 0.0 } else { scale });
            for case in cases() {
                // z_j / 1e-8 is more than an f32 can be.
                if scale < 1e30 || !case.name.ends_with("clr") {
                    assert_right(&case, &rows, 2, &format!("zeros {zeros:?} among {scale:e}"));
                }
            }
        }
    }
}

#[test]
fn f64_embeddings_of_every_scale() {
    let base = random_rows(36, 4, 21);
    for case in cases() {
        let (expected, slope) = evaluate::<NdArray64>(&case.objective, &base, 2, DType::F64, Path::Chosen).unwrap();
        for scale in [1e40, 1e100, 1e150, 1e250, 1e307] {
            let rows = scaled(&base, |i| if i % 3 == 0 { scale } else { 1.0 });
            let (value, gradient) = evaluate::<NdArray64>(&case.objective, &rows, 2, DType::F64, Path::Chosen).unwrap();
            assert!((value - expected).abs() < 1e-9 * expected.abs().max(0.1), "{}, {scale:e}: {value}", case.name);
            for (i, (found, slope)) in gradient.chunks_exact(4).zip(slope.chunks_exact(4)).enumerate() {
                let scale = if i % 3 == 0 { scale } else { 1.0 };
                let expected: Vec<f64> = slope.iter().map(|g| g / scale).collect();
                assert!(distance(found, &expected) < 1e-7, "{}, {scale:e}: {found:?} for {expected:?}", case.name);
            }
        }
    }
}

#[test]
fn half_precision_of_every_scale_it_has() {
    let base = random_rows(36, 4, 31);
    for (dtype, scales) in
        [(DType::F16, vec![1e-4, 1.0, 6e4]), (DType::BF16, vec![1e-30, 1e-15, 1.0, 1e15, 1e30, 3e38])]
    {
        for case in cases() {
            for scale in &scales {
                let z = crate::evaluation::of_type::<Flex>(&scaled(&base, |_| *scale), dtype);
                let rows: Rows =
                    z.into_data().iter::<f64>().collect::<Vec<_>>().chunks_exact(4).map(<[f64]>::to_vec).collect();
                let (value, _) = evaluate::<Flex>(&case.objective, &rows, 2, dtype, Path::Chosen).unwrap();
                let expected = (case.value)(&rows, 2);
                assert!(
                    (value - expected).abs() < 2e-5 * expected.abs().max(0.1),
                    "{dtype:?}, {scale:e}: {value} for {expected}"
                );
            }
        }
    }
}

#[test]
fn gradients_that_no_number_can_hold_are_errors_or_infinite() {
    // ∂s/∂z of a subnormal row that has a similarity with others: one over its length.
    let rows = scaled(&random_rows(36, 4, 8), |i| if i == 2 { 1e-42 } else { 1e37 });
    let objective = ContrastiveObjectiveConfig::simclr().init().unwrap();
    let error = evaluate::<Flex>(&objective, &rows, 2, DType::F32, Path::Chosen).unwrap_err();
    assert!(matches!(&error, ObjectiveError::Overflow { .. }), "{error}");
    assert!(error.to_string().contains("row 2"), "{error}");
}

//! Batches at the edges: zero rows, few rows, identical and opposite rows, temperatures from the smallest to the largest.

use burn::tensor::DType;
use qare::*;

use crate::evaluation::{Flex, NdArray64, Path, distance, evaluate, random_rows, rounded};
use crate::oracle::{self, Rows};

const WAYS: [(bool, DType, Path); 4] = [
    (true, DType::F32, Path::Chosen),
    (true, DType::F32, Path::Tensors),
    (false, DType::F32, Path::Chosen),
    (false, DType::F64, Path::Chosen),
];

fn by(
    objective: &ContrastiveObjective,
    rows: &Rows,
    k: usize,
    way: (bool, DType, Path),
) -> Result<(f64, Vec<f64>), ObjectiveError> {
    match way.0 {
        true => evaluate::<Flex>(objective, rows, k, way.1, way.2),
        false => evaluate::<NdArray64>(objective, rows, k, way.1, way.2),
    }
}

fn nt_xent(temperature: f64, similarity: Similarity, reduction: NtXentReduction) -> ContrastiveObjective {
    let config =
        NtXentConfig::new().with_temperature(temperature).with_similarity(similarity).with_reduction(reduction);
    ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(config)).init().unwrap()
}

const REDUCTIONS: [NtXentReduction; 2] = [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs];

/// Batches of a zero row among N, for every N that has a loss, and every one that has none.
#[test]
fn zero_rows_have_the_loss_of_the_formula_or_an_error_that_names_them() {
    let (mut losses, mut errors) = (0, 0);
    for temperature in [0.07, 0.1, 0.3, 0.4, 0.5, 1.0, 5.0] {
        for count in (4..=60).step_by(2) {
            for zeros in [vec![1], vec![0, 3]] {
                let mut rows = random_rows(count, 5, count as u64);
                zeros.iter().for_each(|zero| rows[*zero].fill(0.0));
                let rows = rounded(&rows);
                for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
                    let s =
                        if similarity == Similarity::Cosine { oracle::cosine(&rows) } else { oracle::floored(&rows) };
                    // Σ_j exp(s_ij/t) − exp(1/t) of the zero rows, which are as far from themselves as from all others.
                    let left = count as f64 - (1.0f64 / temperature).exp();
                    if left.abs() < 0.02 {
                        continue;
                    }
                    for reduction in REDUCTIONS {
                        let objective = nt_xent(temperature, similarity, reduction);
                        let what =
                            format!("{count} rows, zeros {zeros:?}, t {temperature}, {similarity:?}, {reduction:?}");
                        for way in WAYS {
                            match by(&objective, &rows, 2, way) {
                                Ok((value, gradient)) => {
                                    assert!(left > 0.0, "{what}, {way:?}: {value} is no loss");
                                    let expected =
                                        oracle::nt_xent(&s, 2, temperature, reduction == NtXentReduction::MeanOfLogs);
                                    let tolerance = if way.1 == DType::F64 { 1e-9 } else { 1e-4 };
                                    assert!(
                                        (value - expected).abs() <= tolerance * expected.abs().max(1.0),
                                        "{what}, {way:?}: {value} for {expected}"
                                    );
                                    assert!(gradient.iter().all(|g| g.is_finite()), "{what}, {way:?}");
                                    losses += 1;
                                }
                                Err(error) => {
                                    assert!(left < 0.0, "{what}, {way:?}: {error}");
                                    assert!(
                                        matches!(error, ObjectiveError::NoProbabilities { length: 0.0, .. }),
                                        "{what}: {error}"
                                    );
                                    assert!(
                                        error.to_string().contains(&format!("row {} of the embeddings", zeros[0])),
                                        "{error}"
                                    );
                                    errors += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(losses > 1000 && errors > 1000, "{losses} losses, {errors} errors");
}

/// As images of K views: identical ones, opposite ones, all alike, and pairs of these.
fn edges(k: usize) -> Vec<(String, Rows)> {
    let mut edges = Vec::new();
    for images in [2, 3, 9] {
        let random = random_rows(images, 6, images as u64);
        let of = |view: &dyn Fn(usize, usize) -> f64| -> Rows {
            (0..images * k).map(|row| random[row / k].iter().map(|x| x * view(row / k, row % k)).collect()).collect()
        };
        edges.push((format!("{images} images, identical views"), of(&|_, _| 1.0)));
        edges.push((format!("{images} images, opposite views"), of(&|_, view| if view % 2 == 0 { 1.0 } else { -1.0 })));
        edges.push((
            format!("{images} images, views of other lengths"),
            of(&|image, view| 10f64.powi(view as i32 - image as i32 % 3)),
        ));
        edges.push((format!("{images} images, all alike"), vec![random[0].clone(); images * k]));
        let opposite =
            |row: usize| random[0].iter().map(|x| if (row / k).is_multiple_of(2) { *x } else { -x }).collect();
        edges.push((format!("{images} images, two opposite clusters"), (0..images * k).map(opposite).collect()));
        let axes = |row: usize| (0..6).map(|j| if j == row % 6 { 1.0 } else { 0.0 }).collect();
        edges.push((format!("{images} images, along axes"), (0..images * k).map(axes).collect()));
    }
    edges
}

#[test]
fn edges_have_the_values_of_the_formulas() {
    for k in [2, 3] {
        for (name, rows) in edges(k) {
            let rows = rounded(&rows);
            let cases: [(ContrastiveObjectiveConfig, f64); 4] = [
                (
                    ContrastiveObjectiveConfig::simclr(),
                    oracle::nt_xent_of_unit_rows(&oracle::cosine(&rows), k, 0.5, false),
                ),
                (ContrastiveObjectiveConfig::sparseclr(), oracle::sparse_clr(&oracle::cosine(&rows), k, 1.0)),
                (
                    ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0),
                    oracle::nt_xent_of_unit_rows(&oracle::floored(&rows), k, 0.5, false) + oracle::qare(&rows, k),
                ),
                (
                    ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0),
                    oracle::sparse_clr(&oracle::floored(&rows), k, 1.0) + oracle::qare(&rows, k),
                ),
            ];
            for (config, expected) in cases {
                for way in WAYS {
                    let (value, gradient) = by(&config.init().unwrap(), &rows, k, way).unwrap();
                    let tolerance = if way.1 == DType::F64 { 1e-9 } else { 2e-5 };
                    let what = format!("{name}, {k} views, {config}, {way:?}");
                    assert!(
                        (value - expected).abs() <= tolerance * expected.abs().max(1.0),
                        "{what}: {value} for {expected}"
                    );
                    assert!(gradient.iter().all(|g| g.is_finite()), "{what}");
                }
            }
        }
    }
}

#[test]
fn temperatures_of_every_size() {
    for k in [2, 4] {
        for seed in 0..4 {
            let rows = rounded(&random_rows(6 * k, 24, seed));
            for temperature in [1e-30, 1e-10, 1e-4, 1e-3, 2e-3, 5e-3, 0.02, 0.1, 1.0, 30.0, 1e6, 1e30] {
                for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
                    let s =
                        if similarity == Similarity::Cosine { oracle::cosine(&rows) } else { oracle::floored(&rows) };
                    for reduction in REDUCTIONS {
                        let objective = nt_xent(temperature, similarity, reduction);
                        let expected =
                            oracle::nt_xent_of_unit_rows(&s, k, temperature, reduction == NtXentReduction::MeanOfLogs);
                        let (exact, slope) = by(&objective, &rows, k, WAYS[3]).unwrap();
                        let what = format!("t {temperature:e}, {k} views, {similarity:?}, {reduction:?}");
                        // Rounding s by one part in 10¹⁶, and in 10⁷, changes s/t by as much over t.
                        assert!(
                            (exact - expected).abs() <= 1e-9 * expected.abs().max(1.0) + 1e-14 / temperature,
                            "{what}: {exact} for {expected}"
                        );
                        for way in &WAYS[..3] {
                            let (value, gradient) = by(&objective, &rows, k, *way).unwrap();
                            let blur = 1e-6 / temperature;
                            assert!(
                                (value - expected).abs() <= 2e-5 * expected.abs().max(0.1) + blur,
                                "{what}, {way:?}: {value} for {expected}"
                            );
                            assert!(gradient.iter().all(|g| g.is_finite()), "{what}, {way:?}");
                            // Where every row has found its positive, or lost it, next to nothing is left of the gradient.
                            let largest = slope.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
                            if blur < 0.01 && largest > 1e-20 / temperature {
                                let error = distance(&gradient, &slope);
                                assert!(
                                    error < 2e-4 + 3.0 * blur,
                                    "{what}, {way:?}: the gradient is off by {error:.1e}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The gradients of the above, by differences of the formula in f64.
#[test]
fn gradients_at_low_temperatures_are_differences_of_the_formula() {
    for k in [2, 3] {
        let rows = random_rows(4 * k, 8, 3);
        for temperature in [2e-3, 0.01, 0.05] {
            for reduction in REDUCTIONS {
                let value = |rows: &Rows| {
                    oracle::nt_xent_of_unit_rows(
                        &oracle::cosine(rows),
                        k,
                        temperature,
                        reduction == NtXentReduction::MeanOfLogs,
                    )
                };
                let (_, gradient) =
                    by(&nt_xent(temperature, Similarity::Cosine, reduction), &rows, k, WAYS[3]).unwrap();
                let step = 1e-5 * temperature;
                let differences: Vec<f64> = (0..gradient.len())
                    .map(|at| {
                        let moved = |by: f64| {
                            let mut rows = rows.clone();
                            rows[at / 8][at % 8] += by;
                            value(&rows)
                        };
                        (moved(step) - moved(-step)) / (2.0 * step)
                    })
                    .collect();
                // Differences are off by what rounding does to a value of about 1, over the step.
                let largest = differences.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                let noise = 1e-15 * value(&rows).abs().max(1.0) / step;
                for (found, expected) in gradient.iter().zip(&differences) {
                    let what = format!("t {temperature}, {k} views, {reduction:?}");
                    assert!((found - expected).abs() < 1e-5 * largest + noise, "{what}: {found} for {expected}");
                }
            }
        }
    }
}

#[test]
fn what_is_out_of_range_is_an_error_that_says_what() {
    let rows = random_rows(8, 4, 1);
    let assert_said = |objective: ContrastiveObjective, what: &str| {
        for way in &WAYS[..3] {
            let error = by(&objective, &rows, 2, *way).unwrap_err();
            assert!(matches!(error, ObjectiveError::Overflow { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
    };
    for reduction in REDUCTIONS {
        assert_said(nt_xent(1e-39, Similarity::Cosine, reduction), "t = 1e-39");
    }
    assert_said(ContrastiveObjectiveConfig::simclr_qare(1.0, 1e300).init().unwrap(), "range of f32");
    assert_said(ContrastiveObjectiveConfig::simclr_qare(1e39, 1.0).init().unwrap(), "range of f32");
    let margin = SparseClrConfig::new().with_margin(1e300);
    assert_said(ContrastiveObjectiveConfig::new(PairwiseConfig::SparseClr(margin)).init().unwrap(), "range of f32");
}

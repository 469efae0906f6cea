//! The set terms of embeddings against matrices written out, against finite differences, and by every path against the others.

use burn::tensor::{DType, FloatDType};
use qare::*;

use crate::evaluation::{
    Flex, NdArray, NdArray64, Outcome, Path, distance, evaluate, number, of_type, random_rows, rounded,
};
use crate::golden::ROUNDINGS;
use crate::half_precision::of;
use crate::oracle::{self, Rows};

pub const FLOORS: [SimilarityFloor; 2] = [SimilarityFloor::Epsilon, SimilarityFloor::None];

/// Every set term with every floor.
pub fn configs() -> impl Iterator<Item = QareConfig> {
    SetTerm::ALL
        .into_iter()
        .flat_map(|term| FLOORS.map(|floor| QareConfig::new().with_set_term(term).with_similarity_floor(floor)))
}

/// The set term as all there is of an objective.
pub fn alone(config: &QareConfig) -> ContrastiveObjective {
    ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0).with_qare(Some(config.clone())).init().unwrap()
}

/// By the formula.
pub fn expected(config: &QareConfig, rows: &Rows, k: usize) -> f64 {
    let similarities = match config.similarity_floor {
        SimilarityFloor::Epsilon => oracle::floored,
        SimilarityFloor::None => oracle::unfloored,
    };
    match config.set_term {
        SetTerm::Spectral => oracle::qare_of(rows, k, similarities),
        term => expected_of_matrices(term, &oracle::set_matrices(rows, k, similarities, false)),
    }
}

/// By the formula, of the matrices S = 1 + s of the view sets.
pub fn expected_of_matrices(term: SetTerm, matrices: &[Rows]) -> f64 {
    let less_one = |set: &Rows| set.iter().map(|row| row.iter().map(|x| x - 1.0).collect()).collect();
    match term {
        SetTerm::Frobenius => oracle::product_of_norms(matrices),
        SetTerm::Centred => oracle::product_of_norms(&matrices.iter().map(oracle::double_centred).collect::<Vec<_>>()),
        SetTerm::Mean => oracle::product_of_means(matrices),
        SetTerm::Uniformity => oracle::uniformity(&matrices.iter().map(less_one).collect::<Vec<_>>()),
        other => unreachable!("{other} is not a function of norms, means or exponentials"),
    }
}

/// Images, views and dimensions: two images, fewer, as many and more images than dimensions, two views to eight.
const SIZES: [(usize, usize, usize); 12] = [
    (2, 2, 3),
    (2, 3, 1),
    (5, 2, 4),
    (6, 2, 5),
    (12, 2, 1),
    (30, 2, 3),
    (6, 3, 4),
    (4, 4, 16),
    (9, 5, 8),
    (7, 6, 3),
    (5, 7, 5),
    (11, 8, 6),
];

#[test]
fn values_are_those_of_the_matrices_written_out() {
    for (seed, (images, k, dim)) in SIZES.into_iter().enumerate() {
        let rows = random_rows(images * k, dim, seed as u64);
        for config in configs() {
            let expected = expected(&config, &rows, k);
            let (value, _) = evaluate::<NdArray64>(&alone(&config), &rows, k, DType::F64, Path::Chosen).unwrap();
            let what = format!("{images} × {k} × {dim}, {config}");
            assert!(
                (value - expected).abs() <= 1e-12 * expected.abs().max(0.1),
                "{what}: {value}, expected {expected}"
            );
        }
    }
}

#[test]
fn gradients_are_differences_of_the_matrices_written_out() {
    for (seed, (images, k, dim)) in SIZES.into_iter().enumerate() {
        let rows = random_rows(images * k, dim, 50 + seed as u64);
        for config in configs().filter(|config| config.set_term != SetTerm::Spectral) {
            let (_, gradient) = evaluate::<NdArray64>(&alone(&config), &rows, k, DType::F64, Path::Chosen).unwrap();
            let step = 1e-6;
            let differences: Vec<f64> = (0..gradient.len())
                .map(|at| {
                    let moved = |by: f64| {
                        let mut rows = rows.clone();
                        rows[at / dim][at % dim] += by;
                        expected(&config, &rows, k)
                    };
                    (moved(step) - moved(-step)) / (2.0 * step)
                })
                .collect();
            // The step squared over the square of the shortest length, and rounding over the step.
            let largest = differences.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            for (found, expected) in gradient.iter().zip(&differences) {
                let what = format!("{images} × {k} × {dim}, {config}");
                assert!((found - expected).abs() <= 1e-6 * largest + 1e-9, "{what}: {found}, expected {expected}");
            }
        }
    }
}

/// In f64, of the rows as they are in f32.
fn double(config: &QareConfig, rows: &Rows, k: usize) -> Outcome {
    evaluate::<NdArray64>(&alone(config), &rounded(rows), k, DType::F64, Path::Tensors).unwrap()
}

/// Rows around one direction, the nearer the smaller `noise` is.
fn gathered(count: usize, dim: usize, noise: f64, seed: u64) -> Rows {
    let common = random_rows(1, dim, 1000 + seed).remove(0);
    let of = |row: Vec<f64>| row.iter().zip(&common).map(|(x, c)| noise * x + (1.0 - noise) * c).collect();
    random_rows(count, dim, seed).into_iter().map(of).collect()
}

/// The largest errors of value and gradient of f32, relative to f64, over many batches around the sizes of blocks and tasks.
fn errors_in_single_precision(config: &QareConfig, path: Path, seeds: u64) -> [f64; 2] {
    let sizes =
        [(2, 2, 3), (17, 2, 64), (33, 3, 16), (65, 2, 64), (70, 2, 130), (129, 2, 64), (150, 4, 8), (270, 2, 32)];
    let mut most = [0.0f64; 2];
    for (images, k, dim) in sizes {
        for seed in 0..seeds {
            let noise = [1.0, 0.7, 0.5, 0.3][seed as usize % 4];
            let rows = gathered(images * k, dim, noise, 1000 * seed + images as u64);
            let (exact, slope) = double(config, &rows, k);
            let (value, gradient) = evaluate::<Flex>(&alone(config), &rows, k, DType::F32, path).unwrap();
            if path == Path::Chosen {
                let other = evaluate::<NdArray>(&alone(config), &rows, k, DType::F32, path).unwrap();
                assert_eq!((value, &gradient), (other.0, &other.1), "{config}: there is one code for the host");
            }
            most[0] = most[0].max((value - exact).abs() / exact.abs());
            most[1] = most[1].max(distance(&gradient, &slope));
        }
    }
    most
}

/// Values to 4e-6, and to 4e-5 for centred norms: where embeddings are near one direction these are the small differences of similarities that
/// are known to 6e-8. Gradients to 4e-5 of their norm, but for the spectral term's. The host knows ∂q/∂S of the spectral term to 1e-5; the gradient of embeddings
/// near one direction is what is left of it when most of it, which is radial, has been taken off.
fn assert_near_double_precision(seeds: u64) {
    for config in configs() {
        for path in [Path::Chosen, Path::Tensors] {
            let [value, gradient] = errors_in_single_precision(&config, path, seeds);
            let what = format!("{}, {:?}, {path:?}", config.set_term, config.similarity_floor);
            println!("{what}: value {value:.1e}, gradient {gradient:.1e}");
            let most = if config.set_term == SetTerm::Spectral { 1e-3 } else { 4e-5 };
            let most_of_value = if config.set_term == SetTerm::Centred { 4e-5 } else { 4e-6 };
            assert!(value < most_of_value, "{what}: the value is off by {value:.1e}");
            assert!(gradient < most, "{what}: the gradient is off by {gradient:.1e}");
        }
    }
}

#[test]
fn single_precision_is_near_double_precision() {
    assert_near_double_precision(4);
}

#[test]
#[ignore = "takes minutes"]
fn single_precision_is_near_double_precision_over_many_seeds() {
    assert_near_double_precision(60);
}

/// Sets of which a few images are opposite to the others, or across: the floor moves their means by far more than the others differ, and of
/// the sums of deviations little is left once the means are taken off. The host's largest errors: of the value, relative to f64, and of the
/// gradient, relative to that of the tensor code, as these gradients are ill-conditioned.
fn errors_where_the_floor_moves_means(seeds: u64) -> [f64; 2] {
    let objective = alone(&QareConfig::new().with_set_term(SetTerm::Centred));
    let mut most = [0.0f64; 2];
    for (images, k, dim) in [(4, 2, 4), (40, 2, 16), (150, 3, 8), (270, 2, 64), (600, 2, 32)] {
        for (few, along, across) in [(1, -1.0, 0.0), (1, 0.0, 1.0), (3, -0.5, 0.5), (images / 3, -1.0, 0.0)] {
            for (noise, seed) in (0..seeds).flat_map(|seed| [1e-3, 1e-2, 0.1, 0.5].map(|noise| (noise, seed))) {
                let axes = random_rows(2, dim, 1000 * seed + images as u64);
                let of = |(at, row): (usize, Vec<f64>)| -> Vec<f64> {
                    let (along, across) = if at / k < few { (along, across) } else { (1.0, 0.0) };
                    (0..dim).map(|j| noise * row[j] + along * axes[0][j] + across * axes[1][j]).collect()
                };
                let rows = random_rows(images * k, dim, 7 + seed).into_iter().enumerate().map(of).collect();
                let rows = rounded(&rows);
                let exact = evaluate::<NdArray64>(&objective, &rows, k, DType::F64, Path::Tensors).unwrap();
                let [host, tensors] = [Path::Chosen, Path::Tensors]
                    .map(|path| evaluate::<Flex>(&objective, &rows, k, DType::F32, path).unwrap());
                most[0] = most[0].max((host.0 - exact.0).abs() / exact.0);
                let [error, at_least] = [&host, &tensors].map(|found| distance(&found.1, &exact.1));
                most[1] = most[1].max(error / at_least.max(2e-5));
            }
        }
    }
    most
}

fn assert_near_double_precision_where_the_floor_moves_means(seeds: u64) {
    let [value, gradient] = errors_where_the_floor_moves_means(seeds);
    println!("value {value:.1e}, gradient {gradient:.1}");
    // 2.2e-5 and 2.5 over 40 seeds.
    assert!(value < 7e-5, "the value is off by {value:.1e}");
    assert!(gradient < 8.0, "the gradient is off {gradient:.1} times as much as the tensor code's");
}

#[test]
fn centred_norms_are_near_double_precision_where_the_floor_moves_means() {
    assert_near_double_precision_where_the_floor_moves_means(1);
}

#[test]
#[ignore = "takes minutes"]
fn centred_norms_are_near_double_precision_where_the_floor_moves_means_over_many_seeds() {
    assert_near_double_precision_where_the_floor_moves_means(40);
}

/// Cosines do not know it, nor does any set term.
#[test]
fn turned_embeddings_have_the_same_set_term_and_a_turned_gradient() {
    for (images, k, dim) in [(3, 2, 4), (20, 2, 3), (7, 4, 6), (2, 8, 5)] {
        let rows = random_rows(images * k, dim, 70 + images as u64);
        let axis = random_rows(1, dim, 5).remove(0);
        let square: f64 = axis.iter().map(|x| x * x).sum();
        // A reflection for each view set would do as well: sets are compared by what is within them.
        let turn = |row: &[f64]| -> Vec<f64> {
            let along = 2.0 * row.iter().zip(&axis).map(|(x, a)| x * a).sum::<f64>() / square;
            row.iter().zip(&axis).map(|(x, a)| x - along * a).collect()
        };
        let one_turned: Rows =
            rows.iter().enumerate().map(|(at, row)| if at % k == 0 { turn(row) } else { row.clone() }).collect();
        for config in configs() {
            let of = |rows: &Rows| evaluate::<NdArray64>(&alone(&config), rows, k, DType::F64, Path::Chosen).unwrap();
            let ((value, gradient), (other, of_turned)) = (of(&rows), of(&one_turned));
            let what = format!("{images} × {k} × {dim}, {config}");
            assert!((value - other).abs() <= 1e-12 * value.abs(), "{what}: {value} and {other}");
            let turned: Vec<f64> = gradient
                .chunks_exact(dim)
                .enumerate()
                .flat_map(|(at, g)| if at % k == 0 { turn(g) } else { g.to_vec() })
                .collect();
            assert!(distance(&of_turned, &turned) < 1e-9, "{what}");
        }
    }
}

/// Of which the host adds the Gram matrices of parts.
#[test]
fn batches_of_several_parts() {
    let rows = gathered(2 * 2500, 12, 0.6, 3);
    for config in configs().filter(|config| config.similarity_floor == SimilarityFloor::None) {
        let (exact, slope) = double(&config, &rows, 2);
        let (value, gradient) = evaluate::<Flex>(&alone(&config), &rows, 2, DType::F32, Path::Chosen).unwrap();
        assert!((value - exact).abs() < 1e-5 * exact.abs(), "{config}: {value} for {exact}");
        let error = distance(&gradient, &slope);
        assert!(error < 2e-4, "{config}: the gradient is off by {error:.1e}");
    }
}

/// With matrices of images this would need 32 GiB.
#[test]
fn without_a_floor_65536_images_are_no_trouble() {
    let z = burn::tensor::Tensor::<Flex, 2>::random(
        [2 << 16, 64],
        burn::tensor::Distribution::Normal(0.0, 1.0),
        &Default::default(),
    );
    // Of B isotropic unit rows Fᵀ F is B on the diagonal once and B/D D times, and without the mean it is only the latter.
    for (term, expected) in
        [(SetTerm::Frobenius, 1.0 + 1.0 / 64.0), (SetTerm::Centred, 1.0 / 64.0), (SetTerm::Mean, 1.0)]
    {
        let qare = QareConfig::new().with_set_term(term).with_similarity_floor(SimilarityFloor::None).init();
        let z = z.clone().require_grad();
        let value = qare.forward(z.clone(), Views::PAIR).unwrap();
        let gradient = z.grad(&value.backward()).unwrap();
        assert!((number(value.clone()) - expected).abs() < 1e-3 * expected, "{term}: {value}");
        assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
    }
}

#[test]
fn half_precision_is_that_of_the_rounded_embeddings_in_f32() {
    for k in [2, 3] {
        let rows = random_rows(9 * k, 6, k as u64);
        for (dtype, _) in ROUNDINGS {
            let half = of_type::<Flex>(&rows, DType::F32).cast(dtype);
            for config in configs() {
                for generic in [false, true] {
                    let views = Views::new(k).unwrap();
                    let (value, gradient) = of(&alone(&config), generic, &half, views);
                    let (exact, slope) = of(&alone(&config), generic, &half.clone().cast(FloatDType::F32), views);
                    assert_eq!(value, exact, "{config}");
                    // A gradient is rounded once: half a unit in the last of 8 or 11 places.
                    assert!(distance(&gradient, &slope) < 4e-3, "{config}, {dtype:?}");
                }
            }
        }
    }
}

#[test]
fn objectives_weigh_every_set_term() {
    let mut one_opposite = gathered(2 * 300, 24, 0.1, 9);
    one_opposite[..2].iter_mut().flatten().for_each(|x| *x = -*x);
    // Of the second, centred norms cannot be computed along with the pairwise term.
    for rows in [gathered(2 * 33, 24, 0.7, 9), one_opposite] {
        for config in configs() {
            let with_pairwise = |beta, qare: &QareConfig| {
                ContrastiveObjectiveConfig::simclr_qare(0.7, beta).with_qare(Some(qare.clone())).init().unwrap()
            };
            let (objective, plain) = (with_pairwise(1.5, &config), with_pairwise(0.0, &QareConfig::new()));
            let what = format!("{} images, {config}", rows.len() / 2);
            let whole = evaluate::<Flex>(&objective, &rows, 2, DType::F32, Path::Chosen).unwrap();
            let pairwise = evaluate::<Flex>(&plain, &rows, 2, DType::F32, Path::Chosen).unwrap();
            let set_term = evaluate::<Flex>(&alone(&config), &rows, 2, DType::F32, Path::Chosen).unwrap();
            assert!((whole.0 - pairwise.0 - 1.5 * set_term.0).abs() < 1e-6 * pairwise.0, "{what}");
            let sum: Vec<f64> = pairwise.1.iter().zip(&set_term.1).map(|(a, b)| a + 1.5 * b).collect();
            assert!(distance(&whole.1, &sum) < 1e-5, "{what}");
            let z = of_type::<Flex>(&rows, DType::F32);
            let along = number(objective.forward(z.clone(), Views::PAIR).unwrap().qare.unwrap());
            let by_itself = number(config.init().forward(z, Views::PAIR).unwrap());
            assert!((along - by_itself).abs() <= 1e-5 * by_itself.abs(), "{what}: {along} and {by_itself}");
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let rows = gathered(2 * 300, 32, 0.7, 9);
    for config in configs() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate::<Flex>(&alone(&config), &rows, 2, DType::F32, Path::Chosen).unwrap())
        };
        let one = with(1);
        assert_eq!(one, with(2), "{config}");
        assert_eq!(one, with(5), "{config}");
    }
}

#[test]
fn names_are_those_of_configuration_files() {
    for (term, name) in SetTerm::ALL.into_iter().zip(["spectral", "frobenius", "centred", "mean", "uniformity"]) {
        assert_eq!((term.name(), term.to_string().as_str()), (name, name));
        let config = QareConfig::new().with_set_term(term);
        assert!(config.to_string().contains(&format!("\"set_term\": \"{name}\"")), "{config}");
        let read = <QareConfig as burn::config::Config>::load_binary(config.to_string().as_bytes()).unwrap();
        assert_eq!(read.set_term, term);
    }
    assert_eq!(QareConfig::new().set_term, SetTerm::Spectral);
    assert_eq!(SetTerm::default(), SetTerm::Spectral);
}

//! The set terms where sets collapse, coincide or are of nothing.

use burn::tensor::DType;
use qare::*;

use crate::evaluation::{Flex, NdArray, NdArray64, Outcome, Path, evaluate, random_rows, rounded};
use crate::oracle::Rows;
use crate::set_terms::{FLOORS, alone, configs, expected};

/// By every path, with the tolerance of each.
fn by_every_path(config: &QareConfig, rows: &Rows, k: usize) -> Vec<(Outcome, f64)> {
    let objective = alone(config);
    vec![
        (evaluate::<Flex>(&objective, rows, k, DType::F32, Path::Chosen).unwrap(), 2e-5),
        (evaluate::<Flex>(&objective, rows, k, DType::F32, Path::Tensors).unwrap(), 2e-5),
        (evaluate::<NdArray>(&objective, rows, k, DType::F32, Path::Tensors).unwrap(), 2e-5),
        (evaluate::<NdArray64>(&objective, rows, k, DType::F64, Path::Chosen).unwrap(), 1e-11),
    ]
}

/// Batches at the edges, with the number of views.
fn edges() -> Vec<(String, Rows, usize)> {
    let mut edges = Vec::new();
    for (images, k) in [(2, 2), (3, 2), (9, 2), (40, 2), (2, 3), (9, 3)] {
        let random = random_rows(images, 6, images as u64);
        let of = |row: &dyn Fn(usize, usize) -> Vec<f64>| -> Rows {
            rounded(&(0..images * k).map(|at| row(at / k, at % k)).collect())
        };
        let times = |row: &[f64], factor: f64| row.iter().map(|x| factor * x).collect::<Vec<f64>>();
        let mut add = |name: &str, rows: Rows| edges.push((format!("{images} images, {k} views: {name}"), rows, k));
        add("identical sets", of(&|image, _| random[image].clone()));
        add("opposite sets", of(&|image, view| times(&random[image], 1.0 - 2.0 * (view % 2) as f64)));
        add("all alike", of(&|_, _| random[0].clone()));
        add("all alike but for their lengths", of(&|image, view| times(&random[0], 0.3 + 1.7 * (image + view) as f64)));
        add("one set collapsed", of(&|image, view| random[if view == 0 { 0 } else { image }].clone()));
        add("two opposite clusters", of(&|image, _| times(&random[0], if image % 2 == 0 { 1.0 } else { -1.0 })));
        add("along axes", of(&|image, view| (0..6).map(|j| if j == (image + view) % 6 { 1.0 } else { 0.0 }).collect()));
        add("one dimension", of(&|image, view| vec![if (image + view) % 3 == 0 { -1.0 } else { 1.0 }]));
        add(
            "a zero row",
            of(&|image, view| if (image, view) == (1, 0) { vec![0.0; 6] } else { random[image].clone() }),
        );
        add("nothing but zeros", of(&|_, _| vec![0.0; 6]));
    }
    edges
}

#[test]
fn edges_have_the_values_of_the_formulas_and_finite_gradients() {
    for (name, rows, k) in edges() {
        for config in configs() {
            let expected = expected(&config, &rows, k);
            for ((value, gradient), tolerance) in by_every_path(&config, &rows, k) {
                let what = format!("{name}, {config}");
                // Where a set has collapsed, its centred norm is what rounding leaves of B: of the same size, not the same.
                assert!(
                    (value - expected).abs() <= tolerance * expected.abs().max(0.1),
                    "{what}: {value} for {expected}"
                );
                assert!(gradient.iter().all(|g| g.is_finite()), "{what}");
            }
        }
    }
}

/// The norm's gradient at 0 is 0; and what rounding makes of a set of one direction is no direction either.
#[test]
fn a_collapsed_set_is_not_drawn_anywhere() {
    for images in [2, 3, 8, 33, 150] {
        for dim in [1, 5, 64] {
            let random = random_rows(images, dim, dim as u64);
            for (lengths, at_most) in [(0.0, 0.0), (0.7, 1e-6)] {
                let rows: Rows = (0..2 * images)
                    .map(|row| match row % 2 {
                        0 => random[0].iter().map(|x| x * (1.0 + lengths * row as f64)).collect(),
                        _ => random[row / 2].clone(),
                    })
                    .collect();
                let rows = rounded(&rows);
                let shortest =
                    rows.iter().map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).fold(f64::MAX, f64::min);
                for floor in FLOORS {
                    let config = QareConfig::new().with_set_term(SetTerm::Centred).with_similarity_floor(floor);
                    for ((_, gradient), _) in by_every_path(&config, &rows, 2) {
                        let collapsed = gradient.chunks_exact(dim).step_by(2).flatten();
                        let largest = collapsed.fold(0.0f64, |most, g| most.max(g.abs()));
                        let what = format!("{images} × {dim}, lengths {lengths}, {config}");
                        assert!(largest <= at_most / shortest, "{what}: {largest:e}");
                    }
                }
            }
        }
    }
}

/// q_F = q = ‖S‖²/(B(B−1)).
#[test]
fn of_identical_sets_the_bound_is_reached() {
    for (images, dim) in [(2, 3), (10, 4), (70, 32)] {
        let random = random_rows(images, dim, 7);
        let rows: Rows = random.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
        for floor in FLOORS {
            let of = |term| {
                let config = QareConfig::new().with_set_term(term).with_similarity_floor(floor);
                by_every_path(&config, &rounded(&rows), 2)
            };
            for ((spectral, tolerance), (norms, _)) in of(SetTerm::Spectral).into_iter().zip(of(SetTerm::Frobenius)) {
                assert!((spectral.0 - norms.0).abs() <= tolerance * norms.0, "{} and {}", spectral.0, norms.0);
            }
        }
    }
}

#[test]
fn what_is_no_batch_is_an_error_on_every_path() {
    for config in configs() {
        for path in [Path::Chosen, Path::Tensors] {
            let objective = alone(&config);
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut rows = random_rows(12, 4, 1);
                rows[5][2] = bad;
                for error in [
                    evaluate::<Flex>(&objective, &rows, 2, DType::F32, path).unwrap_err(),
                    evaluate::<NdArray>(&objective, &rows, 2, DType::F64, path).unwrap_err(),
                ] {
                    let named =
                        matches!(&error, ObjectiveError::NonFinite { quantity } if quantity.starts_with("row 5 of"));
                    assert!(named, "{config}, {path:?}: {error}");
                }
            }
            let error = |count: usize, k| {
                evaluate::<Flex>(&objective, &random_rows(count, 4, 1), k, DType::F32, path).unwrap_err()
            };
            assert_eq!(error(2, 2), ObjectiveError::TooFewImages { images: 1 });
            assert_eq!(error(7, 2), ObjectiveError::RaggedViews { rows: 7, views: 2 });
        }
    }
}

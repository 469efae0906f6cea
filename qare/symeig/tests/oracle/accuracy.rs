use qare_symeig::{Decomposition, EigenParams, PackedSymmetric, eigen, eigenvalues};

use crate::check::{BOUNDS, Errors, assert_accurate, errors};
use crate::matrices::{Matrix, adversarial, collapsed, random, wilkinson};

#[test]
fn random_matrices_of_every_order() {
    for order in
        (1..=80).chain([95, 96, 97, 127, 128, 129, 150, 191, 192, 193, 255, 256, 257, 300, 383, 450, 513, 600, 700])
    {
        assert_accurate(&random(order, order as u64));
    }
}

#[test]
fn gram_matrices_of_every_order() {
    for order in (1..=80).step_by(3).chain([127, 128, 129, 200, 256, 320, 450, 512, 640]) {
        assert_accurate(&collapsed(order, 32, 0.5, Some(0.0), order as u64));
        assert_accurate(&collapsed(order, 128, 2.0, None, order as u64));
    }
}

#[test]
fn adversarial_matrices() {
    for order in [1, 2, 3, 4, 7, 16, 17, 31, 33, 63, 64, 65, 100, 129, 200, 257] {
        adversarial(order, order as u64).iter().for_each(assert_accurate);
    }
}

#[test]
fn large_adversarial_matrices() {
    adversarial(500, 1).iter().for_each(assert_accurate);
}

#[test]
fn wilkinsons_matrices_glued() {
    for copies in [1, 2, 5, 12] {
        for glue in [1.0, 1e-3, 1e-6, 1e-10, 0.0] {
            assert_accurate(&wilkinson(copies, glue));
        }
    }
}

/// U diag(λ) Uᵀ by [`Decomposition::weighted`], with as many twisted factorisations as the tolerance allows.
#[test]
fn weighted_sums_are_within_their_tolerance() {
    for order in [5, 64, 65, 150, 300] {
        let matrices = adversarial(order, 7).into_iter().chain([random(order, 7), wilkinson(3, 1e-6)]);
        for Matrix { name, order, entries } in matrices {
            let matrix = PackedSymmetric::from_lower(&entries, order);
            let decomposition = Decomposition::new(&matrix, &EigenParams::default()).unwrap();
            let weights = decomposition.values();
            let length = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            for tolerance in [0.0, 1e-5, 1e-3] {
                let sum = decomposition.weighted(weights, tolerance * length).unwrap().sum();
                let entry = |i: usize, j: usize| f64::from(sum.get(i, j)) - f64::from(entries[i * order + j]);
                let off = (0..order * order).map(|at| entry(at / order, at % order).powi(2)).sum::<f64>().sqrt();
                // The estimate of the error is one of first order, of each eigenvector by itself.
                let bound = (4.0 * tolerance + 8.0 * order as f64 * f64::from(f32::EPSILON)) * length;
                assert!(
                    off <= bound,
                    "{name}: off by {off:.1e}, more than {bound:.1e}, at a tolerance of {tolerance:e}"
                );
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let matrix = random(300, 9);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (eigenvalues(&matrix.entries, 300).unwrap(), eigen(&matrix.entries, 300).unwrap()))
    };
    assert_eq!(run(1), run(3));
}

/// Where [`BOUNDS`] are from.
#[test]
#[ignore = "takes minutes"]
fn measure() {
    let mut all = Errors::default();
    for seed in 0..40 {
        let mut most = Errors::default();
        for order in [2, 5, 17, 40, 64, 65, 100, 150, 250, 350] {
            let order = order + seed as usize % 7;
            for matrix in adversarial(order, seed).into_iter().chain([random(order, seed)]) {
                let found = errors(&matrix);
                if found.array().iter().zip(all.array()).any(|(found, all)| *found > all) {
                    println!("{}: {found:.2?}", matrix.name);
                }
                most = most.max(found);
                all = all.max(found);
            }
        }
        println!("seed {seed}: {most:.2?}");
    }
    println!("all: {all:.2?}");
    assert!(
        all.array().into_iter().zip(BOUNDS.array()).all(|(error, bound)| error <= bound),
        "allowed are {BOUNDS:.2?}"
    );
}

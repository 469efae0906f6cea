//! What the defaults of `EigenParams` that are measured rest on: `RAYON_NUM_THREADS=1 cargo bench -p qare-symeig --bench params`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use qare_symeig::{EigenParams, eigen_into, eigenvalues_into};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(order: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(order as u64);
    (0..order * order).map(|_| rng.random_range(-1.0..1.0)).collect()
}

type Variant<T> = (&'static str, fn(&mut EigenParams, T), &'static [T]);

fn bisection(criterion: &mut Criterion) {
    let variants: [Variant<usize>; 2] = [
        ("forced_bisection_start", |params, value| params.forced_bisection_start = value, &[1, 4, 8, 16, 32]),
        ("forced_bisection_interval", |params, value| params.forced_bisection_interval = value, &[1, 2, 4, 8, 16]),
    ];
    for (name, set, choices) in variants {
        measure(criterion, name, set, choices, false);
    }
    let set: fn(&mut EigenParams, f32) = |params, value| params.sum_rounding = value;
    measure(criterion, "sum_rounding", set, &[1.0, 4.0, 16.0, 64.0, 256.0], false);
    let set: fn(&mut EigenParams, f32) = |params, value| params.step_certainty = value;
    measure(criterion, "step_certainty", set, &[1.0, 1.5, 2.0, 4.0], false);
}

fn divide_and_conquer(criterion: &mut Criterion) {
    let variants: [Variant<usize>; 4] = [
        ("leaf_order", |params, value| params.leaf_order = value, &[16, 32, 48, 64, 96, 128]),
        ("max_root_steps", |params, value| params.max_root_steps = value, &[4, 8, 12, 60]),
        ("roots_per_task", |params, value| params.roots_per_task = value, &[16, 64, 256]),
        ("vectors_per_task", |params, value| params.vectors_per_task = value, &[32, 64, 128, 256]),
    ];
    for (name, set, choices) in variants {
        measure(criterion, name, set, choices, true);
    }
}

fn measure<T: Copy + std::fmt::Display>(
    criterion: &mut Criterion,
    name: &str,
    set: fn(&mut EigenParams, T),
    choices: &[T],
    with_vectors: bool,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    for order in [64, 128, 256] {
        let matrix = random(order);
        let (mut values, mut vectors) = (vec![0.0; order], vec![0.0; order * order]);
        for choice in choices {
            let mut params = EigenParams::default();
            set(&mut params, *choice);
            group.bench_function(BenchmarkId::new(format!("order {order}"), choice), |bencher| {
                bencher.iter(|| {
                    if with_vectors {
                        eigen_into(&matrix, &mut values, &mut vectors, &params).unwrap();
                    } else {
                        eigenvalues_into(&matrix, &mut values, &params).unwrap();
                    }
                })
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bisection, divide_and_conquer);
criterion_main!(benches);

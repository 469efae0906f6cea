//! Every path against faer in f32 and f64, which computes on one thread here:
//! `RAYON_NUM_THREADS=1 cargo bench -p qare-symeig --bench paths`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use faer::{MatRef, Side};
use qare_symeig::{Decomposition, EigenParams, PackedSymmetric, Panels, eigen_into, eigenvalues_into};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 1 + max(s, 0) of rows of 128 numbers, as the set term of `qare` has it.
fn gram(order: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(order as u64);
    let mut rows: Vec<f32> = (0..order * 128).map(|_| rng.random_range(-1.0..1.0)).collect();
    for row in rows.chunks_exact_mut(128) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    let gram = PackedSymmetric::gram(&Panels::new(rows.chunks_exact(128), order, 128));
    (0..order * order).map(|at| 1.0 + gram.get(at / order, at % order).max(0.0)).collect()
}

fn paths(criterion: &mut Criterion) {
    let params = EigenParams::default();
    for order in [16, 32, 64, 128, 256, 512] {
        let single = gram(order);
        let double: Vec<f64> = single.iter().copied().map(f64::from).collect();
        let (single_ref, double_ref) =
            (MatRef::from_row_major_slice(&single, order, order), MatRef::from_row_major_slice(&double, order, order));
        let (mut values, mut vectors) = (vec![0.0; order], vec![0.0; order * order]);

        let mut group = criterion.benchmark_group("eigenvalues");
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.bench_function(BenchmarkId::new("bisection", order), |bencher| {
            bencher.iter(|| eigenvalues_into(&single, &mut values, &params).unwrap())
        });
        group.bench_function(BenchmarkId::new("faer f32", order), |bencher| {
            bencher.iter(|| single_ref.self_adjoint_eigenvalues(Side::Lower).unwrap())
        });
        group.bench_function(BenchmarkId::new("faer f64", order), |bencher| {
            bencher.iter(|| double_ref.self_adjoint_eigenvalues(Side::Lower).unwrap())
        });
        group.finish();

        let mut group = criterion.benchmark_group("eigenvectors");
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.bench_function(BenchmarkId::new("divide and conquer", order), |bencher| {
            bencher.iter(|| eigen_into(&single, &mut values, &mut vectors, &params).unwrap())
        });
        let packed = PackedSymmetric::from_lower(&single, order);
        group.bench_function(BenchmarkId::new("twisted", order), |bencher| {
            bencher.iter(|| {
                let decomposition = Decomposition::new(&packed, &params).unwrap();
                decomposition.weighted(&vec![1.0; order], f64::INFINITY).unwrap()
            })
        });
        group.bench_function(BenchmarkId::new("faer f32", order), |bencher| {
            bencher.iter(|| single_ref.self_adjoint_eigen(Side::Lower).unwrap())
        });
        group.bench_function(BenchmarkId::new("faer f64", order), |bencher| {
            bencher.iter(|| double_ref.self_adjoint_eigen(Side::Lower).unwrap())
        });
        group.finish();
    }
}

criterion_group!(benches, paths);
criterion_main!(benches);

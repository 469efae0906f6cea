//! Loss and gradient of the objectives and of the set terms by themselves, by the path that CPU backends take and by tensor operations:
//! `cargo bench --package qare --bench objectives`.

use std::time::Duration;

use burn::backend::Autodiff;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qare::{ContrastiveObjectiveConfig, QareConfig, SetTerm, SimilarityFloor, Views};

type B = Autodiff<Flex>;

const DIM: usize = 64;

fn embeddings(images: usize, dim: usize) -> Tensor<B, 2> {
    Tensor::random([2 * images, dim], Distribution::Normal(0.0, 1.0), &Default::default()).require_grad()
}

fn objectives(criterion: &mut Criterion) {
    let configs = [
        ("simclr", ContrastiveObjectiveConfig::simclr()),
        ("simclr_qare", ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0)),
        ("sparseclr", ContrastiveObjectiveConfig::sparseclr()),
        ("sparseclr_qare", ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)),
    ];
    for (name, config) in configs {
        let objective = config.init().unwrap();
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_secs(2));
        for images in [64, 256] {
            let z = embeddings(images, DIM);
            group.throughput(Throughput::Elements(images as u64));
            group.bench_function(BenchmarkId::new("host", images), |bencher| {
                bencher.iter(|| objective.forward(z.clone(), Views::PAIR).unwrap().loss.backward())
            });
            group.bench_function(BenchmarkId::new("tensors", images), |bencher| {
                bencher.iter(|| objective.forward_generic(z.clone(), Views::PAIR).unwrap().loss.backward())
            });
        }
    }
}

fn terms() -> impl Iterator<Item = (String, QareConfig)> {
    let floors = [("", SimilarityFloor::Epsilon), ("_no_floor", SimilarityFloor::None)];
    SetTerm::ALL.into_iter().flat_map(move |term| {
        floors.map(|(suffix, floor)| {
            (format!("{term}{suffix}"), QareConfig::new().with_set_term(term).with_similarity_floor(floor))
        })
    })
}

fn set_terms(criterion: &mut Criterion) {
    for (name, config) in terms() {
        let qare = config.init();
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_secs(1));
        for (images, dim) in [(64, 64), (64, 128), (256, 64), (256, 128)] {
            let z = embeddings(images, dim);
            let case = format!("{images}x{dim}");
            group.bench_function(BenchmarkId::new("host", &case), |bencher| {
                bencher.iter(|| qare.forward(z.clone(), Views::PAIR).unwrap().backward())
            });
            group.bench_function(BenchmarkId::new("tensors", &case), |bencher| {
                bencher.iter(|| qare.forward_generic(z.clone(), Views::PAIR).unwrap().backward())
            });
        }
    }
}

/// What is linear in B.
fn large_batches(criterion: &mut Criterion) {
    for (name, config) in terms().filter(|(_, config)| config.similarity_floor == SimilarityFloor::None) {
        let qare = config.init();
        let mut group = criterion.benchmark_group(format!("{name}_large"));
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        for images in [1 << 10, 1 << 13, 1 << 16] {
            let z = embeddings(images, DIM);
            group.throughput(Throughput::Elements(images as u64));
            group.bench_function(BenchmarkId::from_parameter(images), |bencher| {
                bencher.iter(|| qare.forward(z.clone(), Views::PAIR).unwrap().backward())
            });
        }
    }
}

criterion_group!(benches, objectives, set_terms, large_batches);
criterion_main!(benches);

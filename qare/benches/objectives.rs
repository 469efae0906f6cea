//! Loss and gradient of the objectives, by the path that CPU backends take and by tensor operations; and the set term without a floor:
//! `cargo bench --package qare --bench objectives`.

use std::time::Duration;

use burn::backend::Autodiff;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qare::{ContrastiveObjectiveConfig, QareConfig, SimilarityFloor, Views};

type B = Autodiff<Flex>;

const DIM: usize = 64;

fn embeddings(images: usize) -> Tensor<B, 2> {
    Tensor::random([2 * images, DIM], Distribution::Normal(0.0, 1.0), &Default::default()).require_grad()
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
            let z = embeddings(images);
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

fn floorless(criterion: &mut Criterion) {
    let qare = QareConfig::new().with_similarity_floor(SimilarityFloor::None).init();
    let mut group = criterion.benchmark_group("qare_no_floor");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for images in [1 << 10, 1 << 13, 1 << 16] {
        let z = embeddings(images);
        group.throughput(Throughput::Elements(images as u64));
        group.bench_function(BenchmarkId::from_parameter(images), |bencher| {
            bencher.iter(|| qare.forward(z.clone(), Views::PAIR).unwrap().backward())
        });
    }
}

criterion_group!(benches, objectives, floorless);
criterion_main!(benches);

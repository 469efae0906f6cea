//! Forward and backward pass of a backbone, by blocks of layers that the CPU backends compute as one operation and by one layer
//! after the other: `cargo bench --package qare-models --bench blocks`.

use std::time::Duration;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use qare_models::BackboneName;

const IMAGES: usize = 64;

fn passes<B: AutodiffBackend>(group: &mut BenchmarkGroup<'_, WallTime>, name: BackboneName, how: &str) {
    let device = Default::default();
    let backbone = name.init::<B>(1, &device);
    let images = Tensor::<B, 4>::random([IMAGES, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
    group.bench_function(how, |bencher| {
        bencher.iter(|| {
            let loss = backbone.forward(images.clone()).powi_scalar(2).mean();
            let gradients = loss.backward();
            (loss.into_scalar(), gradients)
        })
    });
}

fn backbones(criterion: &mut Criterion) {
    for name in [BackboneName::Conv4, BackboneName::Resnet8] {
        let mut group = criterion.benchmark_group(name.as_str());
        group.throughput(Throughput::Elements(IMAGES as u64)).sample_size(10).measurement_time(Duration::from_secs(5));
        // Autodiff with another checkpointing strategy takes the layers.
        passes::<Autodiff<Flex>>(&mut group, name, "flex, blocks");
        passes::<Autodiff<Flex, BalancedCheckpointing>>(&mut group, name, "flex, layers");
        passes::<Autodiff<NdArray>>(&mut group, name, "ndarray, blocks");
        passes::<Autodiff<NdArray, BalancedCheckpointing>>(&mut group, name, "ndarray, layers");
    }
}

criterion_group!(benches, backbones);
criterion_main!(benches);

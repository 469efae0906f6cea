//! Each stage of a contrastive view, and whole views of every kind: `cargo bench --package qare-data --bench views`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qare_data::crop::{CropBox, RandomCrop};
use qare_data::hue::hue;
use qare_data::resize::Resizer;
use qare_data::{Augmentation, Draw, Normalization, Purpose, RandomErasing, Scratch, color, write_view};

const NORMALIZATION: Normalization = Normalization { mean: [0.491, 0.482, 0.447], std: [0.247, 0.243, 0.262] };
const SIDES: [usize; 3] = [32, 64, 96];

fn image(side: usize) -> Vec<u8> {
    let mut draw = Draw::new(0, Purpose::Picture, 0, 0, 0);
    (0..3 * side * side).map(|_| draw.below(256) as u8).collect()
}

/// What changes pixels in place: they are copied anew for each run, which takes a small part of it.
fn in_place(criterion: &mut Criterion, name: &str, change: impl Fn(&mut [u8])) {
    let mut group = criterion.benchmark_group(name);
    for side in SIDES {
        let (image, mut pixels) = (image(side), image(side));
        group.throughput(Throughput::Elements((side * side) as u64));
        group.bench_function(BenchmarkId::from_parameter(side), |bencher| {
            bencher.iter(|| {
                pixels.copy_from_slice(&image);
                change(black_box(&mut pixels));
            })
        });
    }
}

fn stages(criterion: &mut Criterion) {
    criterion.bench_function("draw_of_a_crop", |bencher| {
        let mut index = 0;
        bencher.iter(|| {
            index += 1;
            RandomCrop::CONTRASTIVE.draw(32, 32, &mut Draw::new(1, Purpose::View, 0, index, 0))
        })
    });
    let mut group = criterion.benchmark_group("resized_crop");
    for side in SIDES {
        let (image, mut out, mut resizer) = (image(side), image(side), Resizer::default());
        let crop = CropBox { top: side / 8, left: side / 4, height: side / 2, width: 5 * side / 8 };
        group.throughput(Throughput::Elements((side * side) as u64));
        group.bench_function(BenchmarkId::from_parameter(side), |bencher| {
            bencher.iter(|| resizer.resized_crop(black_box(&image), (side, side), &crop, (side, side), &mut out))
        });
    }
    group.finish();
    in_place(criterion, "brightness", |pixels| color::brightness(pixels, 1.3));
    in_place(criterion, "contrast", |pixels| color::contrast(pixels, 1.3));
    in_place(criterion, "saturation", |pixels| color::saturation(pixels, 1.3));
    in_place(criterion, "hue", |pixels| hue(pixels, 0.1));
    in_place(criterion, "grayscale", color::grayscale);
}

fn whole_views(criterion: &mut Criterion) {
    let kinds = [
        ("none", Augmentation::None),
        ("contrastive", Augmentation::Contrastive),
        ("crop", Augmentation::Crop),
        ("flip", Augmentation::Flip),
        ("affine", Augmentation::Affine { erase: None }),
        ("affine_erased", Augmentation::Affine { erase: Some(RandomErasing::STL10) }),
    ];
    let mut group = criterion.benchmark_group("view");
    for (name, augmentation) in kinds {
        for side in SIDES {
            let (image, mut out, mut scratch) = (image(side), vec![0.0; 3 * side * side], Scratch::default());
            let mut index = 0;
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(name, side), |bencher| {
                bencher.iter(|| {
                    // Another view each time, so that the mean is over the choices.
                    index += 1;
                    let mut draw = Draw::new(4, Purpose::View, 1, index, 0);
                    let image = black_box(&image);
                    write_view(augmentation, image, side, &mut draw, &NORMALIZATION, &mut scratch, &mut out);
                    black_box(&mut out);
                })
            });
        }
    }
}

criterion_group!(benches, stages, whole_views);
criterion_main!(benches);

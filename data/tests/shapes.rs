//! The drawn dataset.

use qare_data::{DatasetName, ImageSet, LoadOptions, load};

fn counts(images: &ImageSet) -> Vec<usize> {
    let mut counts = vec![0; images.classes()];
    images.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// FNV-1a over labels and pixels.
fn fingerprint(images: &ImageSet) -> u64 {
    let labels = images.labels().iter().map(|&label| label as u8);
    let pixels = (0..images.len()).flat_map(|index| images.pixels(index).into_owned());
    labels
        .chain(pixels)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_pictures_never_change() {
    let splits = load(DatasetName::Shapes, &LoadOptions::default()).unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.side()), (5_000, 1_000, 32));
    assert_eq!(counts(&splits.train), vec![500; 10]);
    assert_eq!(counts(&splits.test), vec![100; 10]);
    // The order is shuffled, so no class fills the beginning.
    assert!(counts(&splits.train.select(&(0..1000).collect::<Vec<_>>())).iter().all(|&count| count > 60));
    // Results on these images are comparable only if the images never change.
    assert_eq!((fingerprint(&splits.train), fingerprint(&splits.test)), FINGERPRINTS);
}

const FINGERPRINTS: (u64, u64) = (9_527_170_557_936_102_667, 13_307_310_930_903_428_876);

#[test]
fn the_normalization_is_that_of_the_pictures() {
    let train = load(DatasetName::Shapes, &LoadOptions::default()).unwrap().train;
    let normalization = DatasetName::Shapes.normalization();
    for channel in 0..3 {
        let values = || {
            (0..train.len())
                .flat_map(|index| train.pixels(index)[channel * 1024..(channel + 1) * 1024].to_vec())
                .map(|pixel| f64::from(pixel) / 255.0)
        };
        let count = (train.len() * 1024) as f64;
        let mean = values().sum::<f64>() / count;
        let std = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!((mean - f64::from(normalization.mean[channel])).abs() < 0.01, "mean {mean}");
        assert!((std - f64::from(normalization.std[channel])).abs() < 0.01, "std {std}");
    }
}

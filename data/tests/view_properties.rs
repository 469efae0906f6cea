//! Properties of transforms, views and batches of any size, with any draw.

mod cases;

use burn::data::dataloader::DataLoader;
use burn_flex::{Flex, FlexDevice};
use cases::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use qare_data::affine::{Affine, Warper};
use qare_data::crop::{CropBox, RandomCrop};
use qare_data::erasing::erase;
use qare_data::padded_crop::PaddedCrop;
use qare_data::resize::Resizer;
use qare_data::{
    AugmentOn, Augmentation, Draw, EpochCursor, ImageSet, LoaderConfig, Normalization, Purpose, RandomErasing, Scratch,
    Shard, ViewLoader, color, hue, write_view,
};

fn augmentation() -> impl Strategy<Value = Augmentation> {
    prop_oneof![
        Just(Augmentation::None),
        Just(Augmentation::Contrastive),
        Just(Augmentation::Crop),
        Just(Augmentation::Flip),
        Just(Augmentation::Affine { erase: None }),
        (0.0..1.5f64).prop_map(|area| Augmentation::Affine { erase: Some(RandomErasing { area }) }),
    ]
}

fn normalization() -> impl Strategy<Value = Normalization> {
    ([0.0..1.0f32, 0.0..1.0, 0.0..1.0], [0.05..1.0f32, 0.05..1.0, 0.05..1.0])
        .prop_map(|(mean, std)| Normalization { mean, std })
}

/// Height, width, and the pixels of three planes: noise, or a single value.
fn image() -> impl Strategy<Value = ((usize, usize), Vec<u8>)> {
    (1usize..48, 1usize..48).prop_flat_map(|(height, width)| {
        let size = 3 * height * width;
        (Just((height, width)), prop_oneof![vec(any::<u8>(), size), any::<u8>().prop_map(move |flat| vec![flat; size])])
    })
}

/// The values of one view.
fn view(
    augmentation: Augmentation,
    image: &[u8],
    side: usize,
    draw: &mut Draw,
    normalization: &Normalization,
    scratch: &mut Scratch,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; 3 * side * side];
    write_view(augmentation, image, side, draw, normalization, scratch, &mut out);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The smallest and the largest value.
fn range<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> (T, T) {
    let mut values = values.into_iter();
    let first = values.next().expect("there are values");
    values.fold((first, first), |(low, high), value| {
        (if value < low { value } else { low }, if value > high { value } else { high })
    })
}

proptest! {
    #![proptest_config(cases(256))]

    /// Every value is a normalised channel value, or 0 where a square is erased. What a scratch keeps from other views does not matter.
    #[test]
    fn views_of_any_size_are_in_range_and_a_function_of_the_draw(
        augmentation in augmentation(),
        normalization in normalization(),
        side in 1usize..40,
        pixels in vec(any::<u8>(), 1..64),
        used in (1usize..40, any::<u64>(), augmentation()),
        address in any::<[u64; 4]>(),
    ) {
        let image: Vec<u8> = pixels.iter().copied().cycle().take(3 * side * side).collect();
        let [seed, epoch, index, number] = address;
        let draw = || Draw::new(seed, Purpose::View, epoch, index, number);
        let found = view(augmentation, &image, side, &mut draw(), &normalization, &mut Scratch::default());
        for (channel, values) in found.chunks_exact(side * side).enumerate() {
            let of = |value: f32| (value - normalization.mean[channel]) / normalization.std[channel];
            let (low, high) = range(values.iter().copied());
            prop_assert!(low >= of(0.0) && high <= of(1.0), "channel {}: {} to {}", channel, low, high);
        }
        let mut scratch = Scratch::default();
        let (other, noise, before) = used;
        let unrelated: Vec<u8> = (0..3 * other * other).map(|place| (place as u64 ^ noise) as u8).collect();
        view(before, &unrelated, other, &mut Draw::new(noise, Purpose::View, 0, 0, 0), &normalization, &mut scratch);
        let again = view(augmentation, &image, side, &mut draw(), &normalization, &mut scratch);
        prop_assert_eq!(bits(&again), bits(&found));
    }

    /// A view depends on its seed, epoch, image and number only, with any batch size, workers, shards and slices, and no matter where it
    /// is computed.
    #[test]
    fn batches_hold_the_views_of_their_addresses(
        augmentation in augmentation(),
        (count, side, views) in (1usize..14, 1usize..12, 1usize..4),
        (batch_size, workers) in (1usize..6, 0usize..4),
        (seed, epoch, shuffle) in (any::<u64>(), any::<u64>(), any::<bool>()),
        (rank, shards) in (0usize..3, 1usize..4),
        (start, end, on_device) in (0usize..14, 0usize..15, any::<bool>()),
    ) {
        prop_assume!(rank < shards && shards <= batch_size && shards <= count);
        let size = 3 * side * side;
        let pixels: Vec<u8> = (0..count * size).map(|place| (place * 31 + place / size * 17) as u8).collect();
        let labels: Vec<u16> = (0..count).map(|index| (index % 3) as u16).collect();
        let images = ImageSet::new(pixels, labels, side, vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let normalization = Normalization { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };
        let config = LoaderConfig { batch_size, views, seed, workers, shuffle, drop_last: false, augmentation, normalization };
        let cursor = EpochCursor::default();
        cursor.set(epoch);
        let loader = ViewLoader::<Flex>::new(images.clone(), config, cursor, &FlexDevice).unwrap();
        let loader = if on_device && augmentation == Augmentation::Contrastive {
            loader.augment_on(AugmentOn::Device).unwrap()
        } else {
            loader
        };
        let mut scratch = Scratch::default();
        let mut seen = Vec::new();
        let mut check = |loader: &dyn DataLoader<Flex, _>| {
            let mut indices = Vec::new();
            for batch in loader.iter() {
                let batch: qare_data::ViewBatch<Flex> = batch;
                prop_assert_eq!(batch.images.dims(), [batch.indices.len(), views, 3, side, side]);
                let labels: Vec<i64> = batch.labels.into_data().iter::<i64>().collect();
                let expected: Vec<i64> = batch.indices.iter().map(|index| i64::from(images.label(*index))).collect();
                prop_assert_eq!(labels, expected);
                let values: Vec<f32> = batch.images.into_data().iter::<f32>().collect();
                for (index, values) in batch.indices.iter().zip(values.chunks_exact(views * size)) {
                    for (number, values) in values.chunks_exact(size).enumerate() {
                        let draw = &mut Draw::new(seed, Purpose::View, epoch, *index as u64, number as u64);
                        let expected = view(augmentation, &images.pixels(*index), side, draw, &normalization, &mut scratch);
                        prop_assert_eq!(bits(values), bits(&expected));
                    }
                }
                indices.extend(batch.indices);
            }
            seen.push(indices);
            Ok(())
        };
        check(&loader)?;
        check(&*loader.slice(start, end))?;
        check(&loader.clone().shard(Shard { rank, count: shards }).unwrap())?;
        let mut whole = seen[0].clone();
        prop_assert_eq!(&seen[1][..], &whole[start.min(end).min(count)..end.min(count)]);
        prop_assert!(seen[2].iter().all(|index| whole.contains(index)));
        prop_assert!(shuffle || whole.is_sorted());
        whole.sort_unstable();
        prop_assert_eq!(whole, (0..count).collect::<Vec<_>>());
    }

    /// A crop is inside the image. Its resized values are in the range of its pixels, because the weights are positive and sum to one.
    #[test]
    fn crops_of_any_size_resize_within_their_range(
        (size, image) in image(),
        (out_height, out_width) in (1usize..60, 1usize..60),
        (low, more, ratio) in (0.001..1.0f64, 0.0..1.0f64, 0.05..1.0f64),
        seed in any::<u64>(),
    ) {
        let (height, width) = size;
        let random = RandomCrop { scale: (low, (low + more).min(1.0)), ratio: (ratio, 1.0 / ratio) };
        let crop = random.draw(height, width, &mut Draw::new(seed, Purpose::View, 0, 0, 0));
        prop_assert!(crop.height > 0 && crop.top + crop.height <= height);
        prop_assert!(crop.width > 0 && crop.left + crop.width <= width);
        let mut out = vec![0; 3 * out_height * out_width];
        Resizer::default().resized_crop(&image, size, &crop, (out_height, out_width), &mut out);
        for (plane, out) in image.chunks_exact(height * width).zip(out.chunks_exact(out_height * out_width)) {
            let rows = plane.chunks_exact(width).skip(crop.top).take(crop.height);
            let (low, high) = range(rows.flat_map(|row| row[crop.left..][..crop.width].iter().copied()));
            let (least, most) = range(out.iter().copied());
            prop_assert!(low <= least && most <= high, "{} to {} out of {} to {}", least, most, low, high);
        }
        // Resized to its own size, a crop keeps its pixels.
        let mut same = vec![0; 3 * crop.height * crop.width];
        Resizer::default().resized_crop(&image, size, &crop, (crop.height, crop.width), &mut same);
        let cut = image.chunks_exact(width).enumerate().filter(|(row, _)| {
            (crop.top..crop.top + crop.height).contains(&(row % height))
        });
        prop_assert_eq!(same, cut.flat_map(|(_, row)| row[crop.left..][..crop.width].to_vec()).collect::<Vec<u8>>());
    }

    /// The factors are of any size, and may be infinite or NaN.
    #[test]
    fn colours_change_in_range((_, image) in image(), factor in any::<f32>(), shift in any::<f64>()) {
        let changed = |change: &dyn Fn(&mut [u8])| {
            let mut pixels = image.clone();
            change(&mut pixels);
            pixels
        };
        for change in [color::brightness, color::contrast, color::saturation] {
            prop_assert_eq!(changed(&|pixels| change(pixels, factor)).len(), image.len());
            // The factor 1 changes nothing, except that rounding down loses up to one step.
            let same = changed(&|pixels| change(pixels, 1.0));
            prop_assert!(image.iter().zip(&same).all(|(a, b)| a.abs_diff(*b) <= 1));
        }
        prop_assert!(changed(&|pixels| color::brightness(pixels, 0.0)).iter().all(|pixel| *pixel == 0));
        let (low, high) = range(changed(&|pixels| color::contrast(pixels, 0.0)));
        prop_assert_eq!(low, high);
        let gray = changed(&|pixels| color::grayscale(pixels));
        prop_assert_eq!(&changed(&|pixels| color::saturation(pixels, 0.0)), &gray);
        let planes: Vec<&[u8]> = gray.chunks_exact(image.len() / 3).collect();
        prop_assert!(planes[0] == planes[1] && planes[1] == planes[2]);
        // Gray has no hue. A colour whose hue is turned keeps its largest channel.
        prop_assert_eq!(changed(&|pixels| { color::grayscale(pixels); hue::hue(pixels, shift) }), gray);
        let turned = changed(&|pixels| hue::hue(pixels, shift));
        let largest = |pixels: &[u8]| -> Vec<u8> {
            let count = pixels.len() / 3;
            (0..count).map(|at| pixels[at].max(pixels[count + at]).max(pixels[2 * count + at])).collect()
        };
        prop_assert_eq!(largest(&turned), largest(&image));
    }

    #[test]
    fn moved_pixels_are_those_of_the_image_or_black(
        (size, image) in image(),
        padding in 0usize..20,
        (angle, scale, shear) in (-720.0..720.0f64, 0.2..4.0f64, -60.0..60.0f64),
        (down, right, flip) in (-60..60i32, -60..60i32, any::<bool>()),
        (seed, area) in (any::<u64>(), 0.0..2.0f64),
    ) {
        let (height, width) = size;
        let plane = height * width;
        let mut out = vec![1; image.len()];
        let cut = PaddedCrop::draw(padding, &mut Draw::new(seed, Purpose::View, 0, 0, 0));
        cut.cut(&image, size, &mut out);
        for (place, pixel) in out.iter().enumerate() {
            let (row, column) = (place % plane / width + cut.top, place % width + cut.left);
            let inside = (padding..padding + height).contains(&row) && (padding..padding + width).contains(&column);
            let expected = if inside { image[place / plane * plane + (row - padding) * width + column - padding] } else { 0 };
            prop_assert_eq!(*pixel, expected);
        }
        let affine = Affine { angle, right, down, scale, shear };
        Warper::default().warp(&image, size, flip, &affine, &mut out);
        for (image, out) in image.chunks_exact(plane).zip(out.chunks_exact(plane)) {
            let (low, high) = range(image.iter().copied());
            prop_assert!(out.iter().all(|pixel| *pixel == 0 || (low..=high).contains(pixel)));
        }
        let still = Affine { angle: 0.0, right: 0, down: 0, scale: 1.0, shear: 0.0 };
        Warper::default().warp(&image, size, flip, &still, &mut out);
        let mut expected = image.clone();
        if flip {
            color::flip_horizontally(&mut expected, width);
        }
        prop_assert_eq!(&out, &expected);

        let mut values = vec![1.0; image.len()];
        let square = RandomErasing { area }.draw(height, width, &mut Draw::new(seed, Purpose::View, 0, 1, 0));
        let square = square.unwrap_or(CropBox { top: 0, left: 0, height: 0, width: 0 });
        prop_assert!(square.top + square.height <= height && square.left + square.width <= width);
        erase(&mut values, size, &square);
        prop_assert_eq!(values.iter().filter(|value| **value == 0.0).count(), 3 * square.height * square.width);
    }
}

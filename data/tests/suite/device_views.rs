//! Views that a device computes equal those of the host: every byte, for any size, draw and colour.

use burn::tensor::backend::Backend;
use qare_data::crop::{CropBox, RandomCrop};
use qare_data::on_device::{ContrastiveTable, contrastive_views};
use qare_data::resize::Resizer;
use qare_data::views::{ColorChange, ColorJitter, ContrastiveView};
use qare_data::{Draw, Normalization, Purpose, color};

const NORMALIZATION: Normalization = Normalization { mean: [0.491, 0.482, 0.447], std: [0.247, 0.243, 0.262] };

/// Height and width of the images.
const SIZES: [(usize, usize); 7] = [(32, 32), (96, 96), (20, 33), (41, 8), (1, 1), (1, 9), (3, 2)];

/// Images, each with the same number of views.
type Batch = Vec<(Vec<u8>, Vec<ContrastiveView>)>;

fn draw(seed: u64) -> Draw {
    Draw::new(seed, Purpose::View, 0, 0, 0)
}

/// Pixels of one of several kinds: smooth, random, nearly gray, saturated, and of levels whose hues are integers.
fn image(kind: usize, (height, width): (usize, usize), draw: &mut Draw) -> Vec<u8> {
    let plane = height * width;
    let offsets = [0, 1, 2].map(|_| draw.below(256));
    let base: Vec<usize> = (0..plane).map(|_| draw.below(256)).collect();
    (0..3 * plane)
        .map(|place| {
            let (channel, at) = (place / plane, place % plane);
            let level = match kind % 5 {
                0 => offsets[channel] + 3 * (at / width) + 5 * (at % width) * channel,
                1 => draw.below(256),
                2 => (base[at] + draw.below(4)).min(255),
                3 => 255 * draw.below(2),
                _ => 17 * draw.below(16),
            };
            (level % 256) as u8
        })
        .collect()
}

/// The choices of [`ContrastiveView::draw`], for an image that need not be square.
fn choices((height, width): (usize, usize), draw: &mut Draw) -> ContrastiveView {
    ContrastiveView {
        crop: RandomCrop::CONTRASTIVE.draw(height, width, draw),
        flip: draw.chance(0.5),
        jitter: draw.chance(0.8).then(|| ColorJitter::draw(draw)),
        grayscale: draw.chance(0.2),
    }
}

/// The host's bytes of a view, in the order of its definition.
fn on_host(image: &[u8], size: (usize, usize), view: &ContrastiveView) -> Vec<u8> {
    let mut pixels = vec![0; image.len()];
    Resizer::default().resized_crop(image, size, &view.crop, size, &mut pixels);
    if view.flip {
        color::flip_horizontally(&mut pixels, size.1);
    }
    if let Some(jitter) = &view.jitter {
        jitter.apply(&mut pixels);
    }
    if view.grayscale {
        color::grayscale(&mut pixels);
    }
    pixels
}

/// Asserts that a device's views of a batch are the host's, and returns the number of compared values.
#[track_caller]
fn assert_equal<B: Backend>(batch: &Batch, size: (usize, usize)) -> usize {
    let views = batch[0].1.len();
    let mut table = ContrastiveTable::new(batch.len(), views, size);
    let mut resizer = Resizer::default();
    for (index, (image, choices)) in batch.iter().enumerate() {
        table.set_image(index, image, choices, &mut resizer);
    }
    let found = contrastive_views::<B>(table, &NORMALIZATION, &Default::default());
    assert_eq!(found.dims(), [batch.len(), views, 3, size.0, size.1]);
    let found: Vec<f32> = found.into_data().iter().collect();
    let plane = size.0 * size.1;
    let mut compared = 0;
    for (index, (image, choices)) in batch.iter().enumerate() {
        for (view, choice) in choices.iter().enumerate() {
            let found = &found[(index * views + view) * 3 * plane..][..3 * plane];
            for (place, (found, expected)) in found.iter().zip(on_host(image, size, choice)).enumerate() {
                let (mean, std) = (NORMALIZATION.mean[place / plane], NORMALIZATION.std[place / plane]);
                let normalised = (f32::from(expected) / 255.0 - mean) / std;
                // Far below half a step of 8 bits, 0.0075, so that the byte before the normalisation is this one.
                assert!(
                    (found - normalised).abs() <= 1e-5,
                    "image {index}, view {view} of {size:?}, value {place}: {found}, not {normalised} (byte {}, not {expected}): \
                     {choice:?}",
                    (found * std + mean) * 255.0,
                );
                compared += 1;
            }
        }
    }
    compared
}

/// Drawn views of images of every kind and size.
pub fn drawn_views<B: Backend>() {
    let mut compared = 0;
    for (number, size) in SIZES.into_iter().enumerate() {
        // As many values of each size.
        let images = if size.0 > 40 { 60 } else { 250 };
        let mut draw = draw(number as u64);
        let batch: Batch = (0..images)
            .map(|kind| {
                let image = image(kind, size, &mut draw);
                (image, (0..2).map(|_| choices(size, &mut draw)).collect())
            })
            .collect();
        compared += assert_equal::<B>(&batch, size);
    }
    assert!(compared > 3_000_000, "{compared}");
}

/// A view without any change.
fn plain((height, width): (usize, usize)) -> ContrastiveView {
    ContrastiveView { crop: CropBox { top: 0, left: 0, height, width }, flip: false, jitter: None, grayscale: false }
}

/// Every crop alone, from a single pixel to the whole image, plain and flipped.
pub fn crops<B: Backend>() {
    let size = (9, 12);
    let image = image(1, size, &mut draw(3));
    let mut views = Vec::new();
    for (top, bottom) in (0..size.0).flat_map(|top| (top + 1..=size.0).map(move |bottom| (top, bottom))) {
        for (left, right) in (0..size.1).flat_map(|left| (left + 1..=size.1).map(move |right| (left, right))) {
            let crop = CropBox { top, left, height: bottom - top, width: right - left };
            views.push(ContrastiveView { crop, flip: (top + left + right) % 2 == 0, ..plain(size) });
        }
    }
    assert_eq!(views.len(), 45 * 78);
    assert_equal::<B>(&vec![(image, views)], size);
}

/// Every length of a crop of a larger image: the weights have their own rounding for each.
pub fn lengths<B: Backend>() {
    let size = (2, 224);
    let image = image(1, size, &mut draw(4));
    let view = |width: usize| {
        let crop = CropBox { top: 0, left: 224 - width, height: 1 + width % 2, width };
        ContrastiveView { crop, flip: width.is_multiple_of(3), ..plain(size) }
    };
    assert_equal::<B>(&vec![(image, (1..=224).map(view).collect())], size);
}

/// A jitter that blends with one factor only, or none; hues turn by a shift.
fn jitter(change: ColorChange, factor: f64) -> ColorJitter {
    let of = |other| if change == other { factor as f32 } else { 1.0 };
    ColorJitter {
        order: [ColorChange::Brightness, ColorChange::Contrast, ColorChange::Saturation, ColorChange::Hue],
        brightness: of(ColorChange::Brightness),
        contrast: of(ColorChange::Contrast),
        saturation: of(ColorChange::Saturation),
        hue: if change == ColorChange::Hue { factor } else { 0.0 },
    }
}

/// One change of colour at a time, and grayscale, for factors and shifts over their whole range.
pub fn colors<B: Backend>() {
    let size = (64, 64);
    let mut batch = Batch::new();
    let mut draw = draw(5);
    for kind in 0..10 {
        let image = image(kind, size, &mut draw);
        let mut views = vec![plain(size), ContrastiveView { grayscale: true, ..plain(size) }];
        for change in [ColorChange::Brightness, ColorChange::Contrast, ColorChange::Saturation, ColorChange::Hue] {
            let (low, high) = if change == ColorChange::Hue { (-0.5, 0.5) } else { (0.2, 1.8) };
            // Of the multiples of a tenth, many products round to an integer that they miss.
            let special: &[f64] =
                if change == ColorChange::Hue { &[0.0, 0.25] } else { &[1.0, 0.5, 0.2, 1.2, 1.6, 1.7, 1.8] };
            let factors = special.iter().copied().chain((0..6).map(|_| draw.uniform(low, high)));
            let jitters: Vec<_> = factors.map(|factor| jitter(change, factor)).collect();
            views.extend(jitters.into_iter().map(|jitter| ContrastiveView { jitter: Some(jitter), ..plain(size) }));
        }
        batch.push((image, views));
    }
    assert_equal::<B>(&batch, size);
}

/// The mean luma of a large image: its sum exceeds the 24 bits of an `f32`.
pub fn contrast_of_large_images<B: Backend>() {
    let size = (300, 400);
    let mut draw = draw(6);
    let batch: Batch = (0..2)
        .map(|kind| {
            let bright = image(kind, size, &mut draw).iter().map(|pixel| 128 + pixel / 2).collect();
            (bright, vec![ContrastiveView { jitter: Some(jitter(ColorChange::Contrast, 0.5)), ..plain(size) }])
        })
        .collect();
    assert_equal::<B>(&batch, size);
}

/// Every order of the changes of colour, on images that saturate, so that the order matters.
pub fn orders<B: Backend>() {
    use ColorChange::{Brightness, Contrast, Hue, Saturation};
    let size = (16, 16);
    let mut draw = draw(7);
    let mut orders = std::collections::BTreeMap::new();
    while orders.len() < 24 {
        let jitter = ColorJitter::draw(&mut draw);
        let key = jitter.order.map(|change| match change {
            Brightness => 0,
            Contrast => 1,
            Saturation => 2,
            Hue => 3,
        });
        orders.insert(key, jitter.order);
    }
    let jitter = ColorJitter { brightness: 1.7, contrast: 1.6, saturation: 1.8, hue: 0.15, order: [Hue; 4] };
    let views: Vec<_> = orders
        .into_values()
        .map(|order| ContrastiveView { jitter: Some(ColorJitter { order, ..jitter.clone() }), ..plain(size) })
        .collect();
    let image = image(1, size, &mut draw);
    let distinct: std::collections::BTreeSet<_> = views.iter().map(|view| on_host(&image, size, view)).collect();
    assert_eq!(distinct.len(), 24, "each order gives another view");
    assert_equal::<B>(&vec![(image, views)], size);
}

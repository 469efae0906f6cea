//! Tests the distributions of the random choices of contrastive views.

mod distribution;

use distribution::{assert_share, assert_uniform};
use qare_data::crop::CropBox;
use qare_data::views::{ColorChange, ColorJitter, ContrastiveView};
use qare_data::{Draw, Purpose};

const DRAWS: u64 = 40_000;

fn views(side: usize) -> impl Iterator<Item = ContrastiveView> {
    (0..DRAWS).map(move |index| ContrastiveView::draw(side, &mut Draw::new(11, Purpose::View, 3, index, 1)))
}

fn jitters() -> Vec<ColorJitter> {
    views(32).filter_map(|view| view.jitter).collect()
}

#[test]
fn rates_of_flip_jitter_and_grayscale() {
    let views: Vec<ContrastiveView> = views(32).collect();
    let count = |choice: fn(&ContrastiveView) -> bool| views.iter().filter(|view| choice(view)).count();
    assert_share(count(|view| view.flip), views.len(), 0.5, "flip");
    assert_share(count(|view| view.jitter.is_some()), views.len(), 0.8, "jitter");
    assert_share(count(|view| view.grayscale), views.len(), 0.2, "grayscale");
    assert_share(count(|view| view.grayscale && view.flip), views.len(), 0.1, "both grayscale and flip");
    assert_share(count(|view| view.jitter.is_some() && view.flip), views.len(), 0.4, "both jitter and flip");
}

#[test]
fn jitter_factors_are_uniform() {
    let jitters = jitters();
    assert_uniform(jitters.iter().map(|jitter| jitter.brightness.into()), 0.2, 1.8, 1e-6, "brightness");
    assert_uniform(jitters.iter().map(|jitter| jitter.contrast.into()), 0.2, 1.8, 1e-6, "contrast");
    assert_uniform(jitters.iter().map(|jitter| jitter.saturation.into()), 0.2, 1.8, 1e-6, "saturation");
    assert_uniform(jitters.iter().map(|jitter| jitter.hue), -0.2, 0.2, 0.0, "hue");
}

#[test]
fn every_order_of_the_changes_is_equally_likely() {
    let jitters = jitters();
    let mut orders: Vec<[ColorChange; 4]> = Vec::new();
    let mut counts: Vec<usize> = Vec::new();
    for jitter in &jitters {
        match orders.iter().position(|order| *order == jitter.order) {
            Some(place) => counts[place] += 1,
            None => {
                orders.push(jitter.order);
                counts.push(1);
            }
        }
    }
    assert_eq!(orders.len(), 24);
    for (order, count) in orders.iter().zip(counts) {
        assert_share(count, jitters.len(), 1.0 / 24.0, &format!("{order:?}"));
    }
}

/// On a large image rounding hardly matters. Crops that do not fit are drawn again, so the area is uniform only below 3/4, the share at
/// which the widest ratio still fits.
#[test]
fn crop_area_and_ratio_on_a_large_image() {
    let side = 4096;
    let crops: Vec<_> = views(side).map(|view| view.crop).collect();
    let share = |crop: &CropBox| share(crop, (side, side));
    assert!(crops.iter().all(|crop| (0.0795..=1.0).contains(&share(crop))));
    assert!(crops.iter().all(|crop| (0.745..1.341).contains(&ratio(crop))));

    assert_crops_are_uniform(&crops, (side, side), 0.745);
}

/// The share of the area of an image that a crop has.
fn share(crop: &CropBox, (height, width): (usize, usize)) -> f64 {
    (crop.height * crop.width) as f64 / (height * width) as f64
}

fn ratio(crop: &CropBox) -> f64 {
    crop.width as f64 / crop.height as f64
}

/// Area, logarithm of the ratio, and position of crops whose share of the area is below `most`, up to which every ratio fits.
fn assert_crops_are_uniform(crops: &[CropBox], (height, width): (usize, usize), most: f64) {
    let share = |crop: &CropBox| share(crop, (height, width));
    let fitting = crops.iter().filter(|crop| share(crop) < most);
    assert_uniform(fitting.clone().map(share), 0.08, most, 2e-3, "area");
    let bound = (4.0f64 / 3.0).ln();
    assert_uniform(fitting.clone().map(|crop| ratio(crop).ln()), -bound, bound, 2e-3, "logarithm of the ratio");
    let left = fitting.clone().map(|crop| crop.left as f64 / (width - crop.width + 1) as f64);
    assert_uniform(left, 0.0, 1.0, 2e-3, "left");
    let top = fitting.map(|crop| crop.top as f64 / (height - crop.height + 1) as f64);
    assert_uniform(top, 0.0, 1.0, 2e-3, "top");
}

/// The distribution of the widths of crops of 32×32 images, and of the heights, from two million draws by torchvision's rule in double
/// precision.
#[test]
fn crop_sizes_on_a_small_image_are_torchvisions() {
    let crops: Vec<_> = views(32).map(|view| view.crop).collect();
    for (length, expected) in WIDTH_SHARES {
        let found = crops.iter().filter(|crop| crop.width <= length).count();
        assert_share(found, crops.len(), expected, &format!("width up to {length}"));
        let found = crops.iter().filter(|crop| crop.height <= length).count();
        assert_share(found, crops.len(), expected, &format!("height up to {length}"));
    }
}

/// Each length, and the share of crops that are at most so long.
const WIDTH_SHARES: [(usize, f64); 5] = [(10, 0.0359), (14, 0.1577), (20, 0.4130), (26, 0.7427), (31, 0.9666)];

/// The crops of an image that is not a square.
fn crops_of(size: (usize, usize)) -> Vec<CropBox> {
    let draw = |index| Draw::new(11, Purpose::View, 3, index, 1);
    (0..DRAWS).map(|index| ContrastiveView::draw_of(size, &mut draw(index)).crop).collect()
}

/// Crops are drawn from the whole of an upright or a broad image, not from a square in its middle. Of an image of 4:3, every ratio fits up to
/// the share (3/4)² of the area.
#[test]
fn crop_area_and_ratio_on_large_rectangles() {
    for (height, width) in [(3072, 4096), (4096, 3072)] {
        assert_crops_are_uniform(&crops_of((height, width)), (height, width), 0.5575);
    }
}

/// The distribution of the widths and heights of crops of 341×256 pixels, the size of a photograph of 4:3 whose shorter side is 256, from two
/// million draws by torchvision's rule in double precision. Metric learning's crops differ in the area alone.
#[test]
fn crop_sizes_of_a_photograph_are_torchvisions() {
    let crops = crops_of((256, 341));
    for (length, expected) in [(100, 0.0545), (150, 0.2673), (200, 0.5626), (260, 0.8550), (320, 0.9900)] {
        let found = crops.iter().filter(|crop| crop.width <= length).count();
        assert_share(found, crops.len(), expected, &format!("width up to {length}"));
    }
    for (length, expected) in [(80, 0.0050), (120, 0.1294), (160, 0.3200), (200, 0.5654), (240, 0.8651), (255, 0.9912)]
    {
        let found = crops.iter().filter(|crop| crop.height <= length).count();
        assert_share(found, crops.len(), expected, &format!("height up to {length}"));
    }
    // The transposed image has the transposed crops.
    let upright = crops_of((341, 256));
    let found = upright.iter().filter(|crop| crop.height <= 200).count();
    assert_share(found, upright.len(), 0.5626, "height of an upright photograph up to 200");
}

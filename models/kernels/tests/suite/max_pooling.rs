//! Max pooling against its definition, written out.

use qare_kernels::MaxPool;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The pixels that an output pixel sees.
fn seen([height, width]: [usize; 2], y: usize, x: usize) -> Vec<[usize; 2]> {
    let mut pixels = Vec::new();
    for (row, column) in (2 * y..2 * y + 3).flat_map(|row| (2 * x..2 * x + 3).map(move |column| (row, column))) {
        if (1..=height).contains(&row) && (1..=width).contains(&column) {
            pixels.push([row - 1, column - 1]);
        }
    }
    pixels
}

/// Small integers, so that many values are the largest, and sums are exact.
fn integers(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| (rng.next_u32() % 7) as f32 - 4.0).collect()
}

fn check(sides: [usize; 2], channels: usize, count: usize, images: &[f32], seed: u64) {
    let [height, width] = sides;
    let what = format!("{count} images {height}×{width}×{channels}");
    let pool = MaxPool::new([height, width, channels]);
    let [out_height, out_width, _] = pool.out_dims();
    assert_eq!([out_height, out_width], sides.map(|side| (side + 2 - 3) / 2 + 1), "{what}");
    let of_output = integers(count * out_height * out_width * channels, seed + 1000);
    let (out, places) = pool.forward(images);
    let gradient = pool.backward(&of_output, &places);

    let mut expected = vec![0.0; images.len()];
    for (at, of_output) in of_output.iter().enumerate() {
        let (c, pixel) = (at % channels, at / channels);
        let (x, y, n) = (pixel % out_width, pixel / out_width % out_height, pixel / out_width / out_height);
        let places = seen(sides, y, x).into_iter().map(|[y, x]| ((n * height + y) * width + x) * channels + c);
        let mut most = None;
        for place in places {
            if most.is_none_or(|most: usize| images[place] > images[most] || images[place].is_nan()) {
                most = Some(place);
            }
        }
        let most = most.expect("an output pixel sees one");
        assert_eq!(out[at].to_bits(), images[most].to_bits(), "{what}: output {at}");
        expected[most] += of_output;
    }
    assert_eq!(gradient, expected, "{what}");
}

#[test]
fn the_largest_of_nine() {
    for (seed, side) in (1..=9).flat_map(|height| (1..=9).map(move |width| [height, width])).enumerate() {
        let channels = [64, 3, 16, 8, 1, 24][seed % 6];
        let count = [1, 2, 5][seed % 3];
        let images = integers(count * side[0] * side[1] * channels, seed as u64);
        check(side, channels, count, &images, seed as u64);
    }
}

#[test]
fn values_that_are_not_finite() {
    let special = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0];
    for (seed, channels) in [(1, 16), (2, 1), (3, 8)] {
        let choose = integers(3 * 5 * 4 * channels, seed);
        let images: Vec<f32> = choose.iter().map(|value| special[(*value + 4.0) as usize % 4]).collect();
        check([5, 4], channels, 3, &images, seed);
        check([5, 4], channels, 3, &vec![f32::NEG_INFINITY; images.len()], seed);
    }
}

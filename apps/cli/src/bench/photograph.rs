//! Drawn photographs: detail at every scale, as in real ones, in JPEG files of their usual form.

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use qare_data::{Draw, Purpose};

/// Height and width: the most frequent size in ImageNet.
pub const SIZE: (usize, usize) = (375, 500);
const QUALITY: u8 = 90;
/// Grid cells across the image of each octave. Colours have less detail than brightness.
const OCTAVES: [usize; 7] = [3, 6, 12, 24, 48, 96, 192];
const OF_COLOR: usize = 4;

/// The JPEG file of photograph `number`: 375 × 500 pixels with halved chroma.
pub fn jpeg(number: u64) -> Vec<u8> {
    let (height, width) = SIZE;
    let mut draw = Draw::new(0, Purpose::Picture, 0, number, 0);
    let brightness = texture(&OCTAVES, &mut draw);
    let [blue, red] = [(); 2].map(|()| texture(&OCTAVES[..OF_COLOR], &mut draw));
    let mut pixels = Vec::with_capacity(3 * height * width);
    for ((luma, blue), red) in brightness.into_iter().zip(blue).zip(red) {
        let luma = 128.0 + luma + draw.uniform(-20.0, 20.0) as f32;
        // The colour differences of JFIF.
        let channels = [luma + 0.7 * red, luma - 0.17 * blue - 0.36 * red, luma + 0.89 * blue];
        pixels.extend(channels.map(|value| value.round().clamp(0.0, 255.0) as u8));
    }
    compress(&pixels, width, height, PixelFormat::Rgb, QUALITY, Subsampling::S420).expect("an image of a valid size")
}

/// A sum of interpolated random grids, whose amplitudes fall with their frequency.
fn texture(octaves: &[usize], draw: &mut Draw) -> Vec<f32> {
    let (height, width) = SIZE;
    let mut sum = vec![0.0; height * width];
    for &cells in octaves {
        let columns = cells + 2;
        let rows = cells * height / width + 3;
        let amplitude = 90.0 / (cells as f64).powf(0.4);
        let grid: Vec<f32> = (0..rows * columns).map(|_| draw.uniform(-amplitude, amplitude) as f32).collect();
        let scale = cells as f32 / width as f32;
        for (row, sums) in sum.chunks_exact_mut(width).enumerate() {
            let (top, down) = split(row as f32 * scale);
            let (upper, lower) = (&grid[top * columns..][..columns], &grid[(top + 1) * columns..][..columns]);
            for (column, sum) in sums.iter_mut().enumerate() {
                let (left, right) = split(column as f32 * scale);
                let at = |row: &[f32]| row[left] + (row[left + 1] - row[left]) * right;
                *sum += at(upper) + (at(lower) - at(upper)) * down;
            }
        }
    }
    sum
}

fn split(position: f32) -> (usize, f32) {
    (position as usize, position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_a_file_of_its_size_and_a_function_of_its_number() {
        let file = jpeg(3);
        let image = image::load_from_memory_with_format(&file, image::ImageFormat::Jpeg).unwrap().into_rgb8();
        assert_eq!((image.height() as usize, image.width() as usize), SIZE);
        assert_eq!(file, jpeg(3));
        assert_ne!(file, jpeg(4));
        // Nearly half a byte a pixel, as of photographs of this quality: the decoder has as much to do.
        assert!((40_000..200_000).contains(&file.len()), "{} bytes", file.len());
    }

    #[test]
    fn there_is_detail_at_every_scale() {
        let image = image::load_from_memory_with_format(&jpeg(0), image::ImageFormat::Jpeg).unwrap().into_luma8();
        for distance in [1, 4, 16, 64] {
            let pairs = (0..300u32).flat_map(|y| (0..400u32).map(move |x| (x, y)));
            let change = pairs.map(|(x, y)| {
                (f64::from(image.get_pixel(x, y).0[0]) - f64::from(image.get_pixel(x + distance, y).0[0])).abs()
            });
            let mean = change.sum::<f64>() / (300.0 * 400.0);
            assert!(mean > 2.0, "{mean} at {distance} pixels");
        }
    }
}

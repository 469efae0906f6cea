//! Hue adjustment, with the bytes of [`hue`](crate::hue::hue).
//!
//! The formulas are those of the host over the integers. For the conversion from HSV to RGB and for the saturation, the host's
//! rounding in single precision gives the same bytes. A hue is the integer part of a quotient; if that is an integer, the host's
//! rounding error decides, and for [`ROUNDED_DOWN`] it gives the integer below.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::color::channel;
use super::integer_part::{integer_part, quotient};

/// The hues that the host rounds to the hue below, although the quotient is an integer. Each entry is an arithmetic progression:
/// its centre, the largest distance from it, and the step.
const ROUNDED_DOWN: [(f64, f64, f64); 5] =
    [(16.0, 15.0, 1.0), (96.0, 8.0, 4.0), (139.0, 10.0, 2.0), (181.0, 28.0, 4.0), (180.0, 4.0, 8.0)];

/// Turns the hues of views `[B, K, 3, H, W]` by steps from 0 to 255, `[B, K, 1, 1, 1]`.
///
/// `sectors` is 1275, 765 and 255, `[1, 1, 3, 1, 1]`, as [`SECTORS`].
pub(super) fn turn_hue<B: Backend>(views: &Tensor<B, 5>, steps: Tensor<B, 5>, sectors: Tensor<B, 5>) -> Tensor<B, 5> {
    let (hue, saturation, value) = to_hsv(views);
    let turned = hue + steps;
    let wrapped = turned.clone() - 256.0;
    let hue = turned.mask_where(wrapped.clone().greater_equal_elem(0.0), wrapped);
    to_rgb(hue, saturation, value, sectors)
}

/// How far each channel lags behind the hue on the circle, in units of which a sixth has 255.
pub(super) const SECTORS: [f32; 3] = [5.0 * 255.0, 3.0 * 255.0, 255.0];

/// Hue, saturation and value, `[B, K, 1, H, W]` each, from 0 to 255.
fn to_hsv<B: Backend>(views: &Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>, Tensor<B, 5>) {
    let [r, g, b] = [0, 1, 2].map(|number| channel(views, number));
    let most = r.clone().max_pair(g.clone()).max_pair(b.clone());
    let least = r.clone().min_pair(g.clone()).min_pair(b.clone());
    let range = most.clone() - least;
    // Six times the range make the circle. Red goes before green before blue.
    let in_red = g.clone() - b.clone();
    let in_green = range.clone() * 2.0 + (b - r.clone());
    let in_blue = range.clone() * 4.0 + (r.clone() - g.clone());
    let turn = in_blue.mask_where(g.equal(most.clone()), in_green).mask_where(r.equal(most.clone()), in_red);
    let whole_turn = turn.clone() + range.clone() * 6.0;
    let turn = turn.clone().mask_where(turn.lower_elem(0.0), whole_turn);
    // 255 · turn / (6 · range). Of grays, the turn is 0.
    let dividend = turn * 85.0;
    let divisor = range.clone() * 2.0;
    let divisor = divisor.clone().mask_fill(divisor.equal_elem(0.0), 1.0);
    let hue = quotient(dividend.clone(), divisor.clone());
    // 0 where the quotient is an integer that is rounded down.
    let rest = dividend - hue.clone() * divisor + off_the_list(hue.clone());
    let hue = hue.clone().mask_where(rest.equal_elem(0.0), hue - 1.0);
    let divisor = most.clone().mask_fill(most.clone().equal_elem(0.0), 1.0);
    (hue, quotient(range * 255.0, divisor), most)
}

/// 0 for the hues of [`ROUNDED_DOWN`], positive for others.
fn off_the_list<B: Backend>(hue: Tensor<B, 5>) -> Tensor<B, 5> {
    let off = ROUNDED_DOWN.map(|(centre, most, step)| {
        let distance = (hue.clone() - centre).abs();
        // The centre is a member unless the distance is less than the step.
        let first = if most < step { most } else { 0.0 };
        let off = (distance.clone() - first).abs();
        let off = if step > 1.0 { off.remainder_scalar(step) } else { off * 0.0 };
        off.mask_fill(distance.greater_elem(most), 1.0)
    });
    off.into_iter().reduce(|product, off| product * off).expect("there are progressions")
}

/// The colours `[B, K, 3, H, W]` of hues, saturations and values, `[B, K, 1, H, W]` each.
fn to_rgb<B: Backend>(
    hue: Tensor<B, 5>,
    saturation: Tensor<B, 5>,
    value: Tensor<B, 5>,
    sectors: Tensor<B, 5>,
) -> Tensor<B, 5> {
    // A channel falls from the value by up to the chroma: for two sixths of the circle fully, and in the sixths before and after
    // them linearly.
    let place = hue * 6.0 + sectors;
    let behind = place.clone() - 1530.0;
    let place = place.mask_where(behind.clone().greater_equal_elem(0.0), behind);
    let share = place.clone().min_pair(place.neg() + 1020.0).clamp(0.0, 255.0);
    // value · saturation · share / 255², rounded, and halves rounded down. The dividend is below 2²⁴.
    let dividend = share * (value.clone() * saturation) + 32512.0;
    // The quotient may be 1/65025 short of an integer, which an `f32` hardly tells apart, so its integer part may be one too large.
    let fall = integer_part(dividend.clone() * (1.0 / 65025.0) + 1e-4);
    let too_large = (dividend - fall.clone() * 65025.0).lower_elem(0.0);
    let fallen = value - fall;
    fallen.clone().mask_where(too_large, fallen + 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;
    use crate::hue;

    /// The device's values for planar pixels, `[3, pixels]`.
    fn turned(pixels: &[u8], steps: i32) -> Vec<f32> {
        let of = |values: Vec<f32>, shape: [usize; 5]| {
            Tensor::<Flex, 5>::from_data(TensorData::new(values, shape), (&FlexDevice, DType::F32))
        };
        let views = of(pixels.iter().map(|pixel| f32::from(*pixel)).collect(), [1, 1, 3, 1, pixels.len() / 3]);
        let found = turn_hue(&views, of(vec![steps as f32], [1; 5]), of(SECTORS.to_vec(), [1, 1, 3, 1, 1])).into_data();
        found.iter::<f32>().collect()
    }

    /// All colours, with a shift that differs from one part of them to the next. A shift of 0 tests each colour's hue alone.
    #[test]
    fn every_colour_has_the_hosts_bytes() {
        for red in (0..=255u8).step_by(4) {
            let colors = 4 * 256 * 256;
            let mut pixels = vec![0; 3 * colors];
            for place in 0..colors {
                pixels[place] = red + (place >> 16) as u8;
                pixels[colors + place] = (place >> 8) as u8;
                pixels[2 * colors + place] = place as u8;
            }
            for shift in [0.0, (f64::from(red) - 127.5) / 637.5] {
                let found = turned(&pixels, hue::steps(shift));
                let mut expected = pixels.clone();
                hue::hue(&mut expected, shift);
                let expected: Vec<f32> = expected.into_iter().map(f32::from).collect();
                assert!(found == expected, "red from {red}, shift {shift}");
            }
        }
    }
}

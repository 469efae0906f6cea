//! Hue adjustment, in the arithmetic of torchvision's `adjust_hue` on a Pillow image.
//!
//! Pillow stores hue, saturation and value in 8 bits each, so the conversion loses a little even without a shift. Pillow
//! branches on the order of the channels and mixes single and double precision. The formulas here have no branches and use
//! single precision only, so that the compiler can vectorise them, and give Pillow's bytes for all 2²⁴ colours.

use super::color::{planes, select, truncate};

/// Rotates the hue of every colour by `shift`, a fraction of the circle from -0.5 to 0.5.
///
/// `pixels` is planar, `[3, pixels]`, and changes in place.
///
/// # Panics
/// If the length of `pixels` is not a multiple of three.
pub fn hue(pixels: &mut [u8], shift: f64) {
    let steps = steps(shift);
    let (red, green, blue) = planes(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let (hue, saturation, value) = to_hsv(Level::from(*red), Level::from(*green), Level::from(*blue));
        (*red, *green, *blue) = to_rgb(Level::wrapped(hue + steps), Level::wrapped(saturation), value);
    }
}

/// The number of steps, from 0 to 255, that a shift adds to an 8-bit hue modulo 256.
pub(crate) fn steps(shift: f64) -> i32 {
    // 8 bits of the circle, truncated; negative shifts wrap around.
    ((shift * 255.0) as i32).rem_euclid(256)
}

/// An integer from 0 to 255, as a float: the bounds of the conversions below rest on it.
#[derive(Clone, Copy)]
struct Level(f32);

impl From<u8> for Level {
    #[inline(always)]
    fn from(level: u8) -> Self {
        Self(f32::from(level))
    }
}

impl Level {
    /// The integer modulo 256.
    #[inline(always)]
    fn wrapped(level: i32) -> Self {
        Self((level & 255) as f32)
    }
}

/// Hue, saturation and value of a colour, each from 0 to 255.
#[inline(always)]
fn to_hsv(Level(r): Level, Level(g): Level, Level(b): Level) -> (i32, i32, Level) {
    let most = select(r > g, r, g);
    let most = select(most > b, most, b);
    let least = select(r < g, r, g);
    let least = select(least < b, least, b);
    let range = most - least;
    let middle = r + g + b - most - least;
    // Distance of the middle channel from the largest, as a share of the range; 0 for grays.
    let fall = (most - middle) / select(range > 0.0, range, 1.0);
    // The largest channel gives the third of the circle (red before green before blue), the smallest the half of that third.
    // Each formula rounds once, as Pillow's does.
    let in_red = select(b == least, 1.0 - fall, fall - 1.0);
    let in_green = select(r == least, 3.0 - fall, 1.0 + fall);
    let in_blue = select(g == least, 5.0 - fall, 3.0 + fall);
    let sixths = select(r == most, in_red, select(g == most, in_green, in_blue));
    let turn = select(range > 0.0, sixths / 6.0, 0.0);
    let turn = select(turn < 0.0, turn + 1.0, turn);
    let saturation = range / select(most > 1.0, most, 1.0);
    // SAFETY: `fall` is from 0 to 1, so `sixths` is from -1 to 5 and `turn` from 0 to 1; `range` is at most `most`, and both
    // are integers, so `saturation` is from 0 to 1.
    let (hue, saturation) = unsafe { (truncate(turn * 255.0), truncate(saturation * 255.0)) };
    (hue, saturation, Level(most))
}

/// The colour of a hue, saturation and value.
#[inline(always)]
fn to_rgb(Level(hue): Level, Level(saturation): Level, Level(value): Level) -> (u8, u8, u8) {
    let place = hue * 6.0 / 255.0;
    // SAFETY: from 0 to 6.
    let sector = unsafe { truncate(place) };
    let fraction = place - sector as f32;
    let chroma = value * (saturation / 255.0);
    let rounding = value + 0.5;
    let low = rounding - chroma;
    let falling = rounding - chroma * fraction;
    let rising = rounding - (chroma - chroma * fraction);
    // Hue 255 is sector 6 with fraction 0, for which the formulas give the colour of sector 0.
    let (one, two, three, four, five) = (sector == 1, sector == 2, sector == 3, sector == 4, sector == 5);
    let red = select(one, falling, select(two | three, low, select(four, rising, rounding)));
    let green = select(one | two, rounding, select(three, falling, select(four | five, low, rising)));
    let blue = select(two, rising, select(three | four, rounding, select(five, falling, low)));
    // SAFETY: `chroma` is from 0 to `value` and `fraction` from 0 to 1, so each channel is from 0.5 to 255.5.
    unsafe { (truncate(red) as u8, truncate(green) as u8, truncate(blue) as u8) }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Pillow's conversion, each step in the precision that Pillow uses.
    fn slow_to_hsv(r: u8, g: u8, b: u8) -> [u8; 3] {
        let (most, least) = (r.max(g).max(b), r.min(g).min(b));
        if most == least {
            return [0, 0, most];
        }
        let range = f32::from(most - least);
        let from = |channel: u8| f32::from(most - channel) / range;
        let sixths = if r == most {
            from(b) - from(g)
        } else if g == most {
            (2.0 + f64::from(from(r)) - f64::from(from(b))) as f32
        } else {
            (4.0 + f64::from(from(g)) - f64::from(from(r))) as f32
        };
        let turn = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
        let saturation = range / f32::from(most);
        [(f64::from(turn) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
    }

    fn slow_to_rgb(hue: u8, saturation: u8, value: u8) -> [u8; 3] {
        if saturation == 0 {
            return [value; 3];
        }
        let place = f64::from(hue) * 6.0 / 255.0;
        let fraction = f64::from((place - place.floor()) as f32);
        let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
        let scaled = |share: f64| (f64::from(value) * share).round() as u8;
        let low = scaled(1.0 - saturation);
        let falling = scaled(1.0 - saturation * fraction);
        let rising = scaled(1.0 - saturation * (1.0 - fraction));
        match place as u32 % 6 {
            0 => [value, rising, low],
            1 => [falling, value, low],
            2 => [low, value, rising],
            3 => [low, falling, value],
            4 => [rising, low, value],
            _ => [value, low, falling],
        }
    }

    fn for_all_triples(check: impl Fn(u8, u8, u8) + Sync) {
        (0..=255).into_par_iter().for_each(|first| {
            for second in 0..=255 {
                for third in 0..=255 {
                    check(first, second, third);
                }
            }
        });
    }

    #[test]
    fn every_colour_has_pillows_hue_saturation_and_value() {
        for_all_triples(|r, g, b| {
            let (hue, saturation, Level(value)) = to_hsv(r.into(), g.into(), b.into());
            let expected = slow_to_hsv(r, g, b).map(i32::from);
            assert_eq!([hue, saturation, value as i32], expected, "{r} {g} {b}");
        });
    }

    #[test]
    fn every_hue_saturation_and_value_has_pillows_colour() {
        for_all_triples(|hue, saturation, value| {
            let (r, g, b) = to_rgb(hue.into(), saturation.into(), value.into());
            assert_eq!([r, g, b], slow_to_rgb(hue, saturation, value), "{hue} {saturation} {value}");
        });
    }

    #[test]
    fn shifts_wrap_around_the_circle() {
        // Pure red, a third of the circle (85 of 255 steps) either way.
        for (shift, expected) in [(1.0 / 3.0, [0, 255, 0]), (-1.0 / 3.0, [6, 0, 255])] {
            let mut pixels = [255, 0, 0];
            hue(&mut pixels, shift);
            assert_eq!(pixels, expected);
        }
    }
}

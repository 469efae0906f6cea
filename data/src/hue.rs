//! Hue adjustment, in the arithmetic of torchvision's `adjust_hue` on a Pillow image.
//!
//! Pillow holds hue, saturation and value in 8 bits each, so a pass through them loses a little even without a shift.
//! Pillow branches on the order of the channels and mixes single and double precision. The formulas here have no
//! branches and only single precision, so that many pixels go through them at once, and are arranged so that every one
//! of the 2²⁴ colours still gives Pillow's bytes.

use crate::color::{planes, select, truncate};

/// Turns every colour around the circle by `shift`, a fraction of the circle between -0.5 and 0.5.
///
/// `pixels` is planar, `[3, pixels]`, changed in place.
pub fn hue(pixels: &mut [u8], shift: f64) {
    // Truncated to 8 bits of the circle; negative shifts wrap around.
    let steps = ((shift * 255.0) as i32).rem_euclid(256);
    let (red, green, blue) = planes(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let (hue, saturation, value) = to_hsv(f32::from(*red), f32::from(*green), f32::from(*blue));
        let turned = to_rgb(((hue + steps) & 255) as f32, saturation as f32, value);
        *red = truncate(turned.0) as u8;
        *green = truncate(turned.1) as u8;
        *blue = truncate(turned.2) as u8;
    }
}

/// Hue, saturation and value of a colour, all of them (and the channels) from 0 to 255.
#[inline(always)]
fn to_hsv(r: f32, g: f32, b: f32) -> (i32, i32, f32) {
    let most = select(r > g, r, g);
    let most = select(most > b, most, b);
    let least = select(r < g, r, g);
    let least = select(least < b, least, b);
    let range = most - least;
    let middle = r + g + b - most - least;
    // How far the middle channel is from the largest; 0 for grays.
    let fall = (most - middle) / select(range > 0.0, range, 1.0);
    // The largest channel says which third of the circle (red wins over green, green over blue), the smallest which half
    // of that third. One rounding, like Pillow's.
    let in_red = select(b == least, 1.0 - fall, fall - 1.0);
    let in_green = select(r == least, 3.0 - fall, 1.0 + fall);
    let in_blue = select(g == least, 5.0 - fall, 3.0 + fall);
    let sixths = select(r == most, in_red, select(g == most, in_green, in_blue));
    let turn = select(range > 0.0, sixths / 6.0, 0.0);
    let turn = select(turn < 0.0, turn + 1.0, turn);
    let saturation = range / select(most > 1.0, most, 1.0);
    (truncate(turn * 255.0), truncate(saturation * 255.0), most)
}

/// The colour (not yet cut off to whole numbers) of a whole hue, saturation and value.
#[inline(always)]
fn to_rgb(hue: f32, saturation: f32, value: f32) -> (f32, f32, f32) {
    let place = hue * 6.0 / 255.0;
    let sector = truncate(place);
    let fraction = place - sector as f32;
    let chroma = value * (saturation / 255.0);
    let rounding = value + 0.5;
    let low = rounding - chroma;
    let falling = rounding - chroma * fraction;
    let rising = rounding - (chroma - chroma * fraction);
    // Hue 255 is sector 6 with fraction 0, where these give the same as sector 0.
    let (one, two, three, four, five) = (sector == 1, sector == 2, sector == 3, sector == 4, sector == 5);
    let red = select(one, falling, select(two | three, low, select(four, rising, rounding)));
    let green = select(one | two, rounding, select(three, falling, select(four | five, low, rising)));
    let blue = select(two, rising, select(three | four, rounding, select(five, falling, low)));
    (red, green, blue)
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Pillow's conversion, step by step in the precision it takes each step in.
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
            let (hue, saturation, value) = to_hsv(r.into(), g.into(), b.into());
            assert_eq!([hue as u8, saturation as u8, value as u8], slow_to_hsv(r, g, b), "{r} {g} {b}");
        });
    }

    #[test]
    fn every_hue_saturation_and_value_has_pillows_colour() {
        for_all_triples(|hue, saturation, value| {
            let (r, g, b) = to_rgb(hue.into(), saturation.into(), value.into());
            let expected = slow_to_rgb(hue, saturation, value);
            assert_eq!([truncate(r), truncate(g), truncate(b)], expected.map(i32::from), "{hue} {saturation} {value}");
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

//! A drawn dataset that needs no files: ten shapes with many nuisances.
//!
//! Every image shows four shapes of one kind, one in each quarter, and the kind is the class. Colours, brightness (light on dark
//! as often as dark on light), positions, size, rotation, stretch, background, specks and noise are random, as a function of the
//! split and the index of the image. So raw pixels, or features of an untrained network, say little about the class. With four
//! shapes, most crops of an image show its class. All colours of an image share one illuminant, so after colour jitter little
//! but the shape distinguishes images: a contrastive method learns mostly shape. Every platform draws the same images.

use rayon::prelude::*;

use super::outlines::{self, distance};
use super::splits::Splits;
use crate::draw::{Draw, Purpose};
use crate::images::ImageSet;
use crate::transforms::Normalization;

pub use super::outlines::CLASS_NAMES;

/// Height and width of an image in pixels.
pub const SIDE: usize = 32;
/// Number of training images, the same for each class.
pub const TRAIN: usize = 5_000;
/// Number of test images, the same for each class.
pub const TEST: usize = 1_000;

/// Channel statistics of the training images.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.366, 0.366, 0.366], std: [0.202, 0.202, 0.202] };

const SEED: u64 = 0x5ea_f00d;
/// Squared distance from a shape's centre, in radii, beyond which the shape covers nothing at any stretch.
const REACH: f32 = 2.0;
const PLANE: usize = SIDE * SIDE;

/// Draws both splits.
pub fn draw() -> Splits {
    Splits::new(draw_split(0, TRAIN), draw_split(1, TEST))
}

fn draw_split(split: u64, count: usize) -> ImageSet {
    let mut labels: Vec<u16> = (0..count).map(|index| (index % CLASS_NAMES.len()) as u16).collect();
    Draw::new(SEED, Purpose::Shuffle, split, 0, 0).shuffle(&mut labels);
    let mut pixels = vec![0; count * 3 * PLANE];
    pixels.par_chunks_exact_mut(3 * PLANE).zip(&labels).enumerate().for_each(|(index, (pixels, &label))| {
        let mut draw = Draw::new(SEED, Purpose::Picture, split, index as u64, 0);
        draw_picture(label.into(), &mut draw, pixels);
    });
    let names = CLASS_NAMES.iter().map(|&name| name.to_owned()).collect();
    ImageSet::new(pixels, labels, SIDE, names).expect("every picture is drawn with a class of the list")
}

/// Red, green and blue from 0 to 255.
type Color = [f32; 3];
/// The values of all pixels in red, green and blue.
type Canvas = [Vec<f32>; 3];

/// The colours of one image, all under one illuminant.
struct Palette {
    light: Color,
    ground: Color,
    shape: Color,
}

impl Palette {
    fn draw(draw: &mut Draw) -> Self {
        let light = [0; 3].map(|_| between(draw, 0.55, 1.0));
        let dark = between(draw, 15.0, 110.0);
        let bright = dark + between(draw, 90.0, 140.0);
        let (ground, shape) = if draw.chance(0.5) { (dark, bright) } else { (bright, dark) };
        Self { light, ground: tinted(light, ground, draw), shape: tinted(light, shape, draw) }
    }

    /// A colour for a speck.
    fn other(&self, draw: &mut Draw) -> Color {
        let level = between(draw, 15.0, 250.0);
        tinted(self.light, level, draw)
    }
}

/// A gray level under a coloured illuminant, with a small random deviation.
fn tinted(light: Color, level: f32, draw: &mut Draw) -> Color {
    light.map(|light| level * light + between(draw, -12.0, 12.0))
}

/// The fraction of a pixel that is covered, given the signed distance of its centre from the outline in pixels.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

fn between(draw: &mut Draw, low: f64, high: f64) -> f32 {
    draw.uniform(low, high) as f32
}

/// The centre of a pixel.
fn center(pixel: usize) -> outlines::Point {
    ((pixel % SIDE) as f32 + 0.5, (pixel / SIDE) as f32 + 0.5)
}

fn draw_picture(class: usize, draw: &mut Draw, pixels: &mut [u8]) {
    let palette = Palette::draw(draw);
    let mut canvas = background(palette.ground, draw);
    specks(&mut canvas, &palette, draw);
    let cover = shapes(class, draw);
    let shade = slope(6.0, draw);
    paint(&mut canvas, &cover, |channel, pixel| palette.shape[channel] + shade[pixel]);
    let noise = between(draw, 2.0, 7.0);
    for (canvas, plane) in canvas.iter().zip(pixels.chunks_exact_mut(PLANE)) {
        for (value, pixel) in canvas.iter().zip(plane) {
            *pixel = (value + noise * draw.bell() + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Blends a colour, given by channel and pixel, into the canvas with the coverage of each pixel.
fn paint(canvas: &mut Canvas, cover: &[f32], color: impl Fn(usize, usize) -> f32) {
    for (channel, values) in canvas.iter_mut().enumerate() {
        for (pixel, (value, cover)) in values.iter_mut().zip(cover).enumerate() {
            *value += cover * (color(channel, pixel) - *value);
        }
    }
}

/// A linear gradient in a random direction, within ±`most`.
fn slope(most: f64, draw: &mut Draw) -> Vec<f32> {
    let (x, y) = (between(draw, -most, most), between(draw, -most, most));
    (0..PLANE)
        .map(|pixel| {
            let (column, row) = center(pixel);
            (x * (column - 16.0) + y * (row - 16.0)) / 32.0
        })
        .collect()
}

/// The ground colour with a linear gradient and smooth blotches.
fn background(ground: Color, draw: &mut Draw) -> Canvas {
    let light = slope(25.0, draw);
    let strength = between(draw, 0.0, 8.0);
    [0, 1, 2].map(|channel: usize| {
        let knots: [[f32; 6]; 6] = [[0.0; 6]; 6].map(|row| row.map(|_| strength * draw.bell()));
        (0..PLANE)
            .map(|pixel| {
                let (x, y) = center(pixel);
                ground[channel] + light[pixel] + blotch(&knots, x / 6.5, y / 6.5)
            })
            .collect()
    })
}

/// Bilinear interpolation between knots at distance 1.
fn blotch(knots: &[[f32; 6]; 6], x: f32, y: f32) -> f32 {
    let (column, row) = (x as usize, y as usize);
    let (right, down) = (x - column as f32, y - row as f32);
    let along = |row: &[f32; 6]| row[column] + right * (row[column + 1] - row[column]);
    let (upper, lower) = (along(&knots[row]), along(&knots[row + 1]));
    upper + down * (lower - upper)
}

/// Paints up to two short strokes that belong to no shape.
fn specks(canvas: &mut Canvas, palette: &Palette, draw: &mut Draw) {
    for _ in 0..draw.below(3) {
        let color = palette.other(draw);
        let cover = stroke(draw);
        paint(canvas, &cover, |channel, _| color[channel]);
    }
}

/// The fraction of each pixel that a short stroke covers.
fn stroke(draw: &mut Draw) -> Vec<f32> {
    let (x, y) = (between(draw, 0.0, SIDE as f64), between(draw, 0.0, SIDE as f64));
    let (dx, dy) = (between(draw, -5.0, 5.0), between(draw, -5.0, 5.0));
    let thickness = between(draw, 0.6, 1.4);
    let length = (dx * dx + dy * dy).max(1e-3);
    (0..PLANE)
        .map(|pixel| {
            let (column, row) = center(pixel);
            let along = (((column - x) * dx + (row - y) * dy) / length).clamp(0.0, 1.0);
            let (off_x, off_y) = (column - x - along * dx, row - y - along * dy);
            coverage((off_x * off_x + off_y * off_y).sqrt() - thickness)
        })
        .collect()
}

/// The fraction of each pixel that the four shapes cover, one shape in each quarter.
fn shapes(class: usize, draw: &mut Draw) -> Vec<f32> {
    let radius = between(draw, 5.0, 8.0);
    let mut cover = vec![0.0f32; PLANE];
    for quarter in 0..4 {
        let corner = ((quarter % 2 * 16) as f32, (quarter / 2 * 16) as f32);
        let one = shape(class, radius, corner, draw);
        cover.iter_mut().zip(one).for_each(|(cover, one)| *cover = cover.max(one));
    }
    cover
}

/// The fraction of each pixel that one shape covers, in the quarter with this upper left corner.
fn shape(class: usize, radius: f32, corner: outlines::Point, draw: &mut Draw) -> Vec<f32> {
    let (x, y) = (corner.0 + between(draw, 5.5, 10.5), corner.1 + between(draw, 5.5, 10.5));
    // A rotation by up to ±15°, with cosine and sine from the tangent of half the angle.
    let half = between(draw, -0.13, 0.13);
    let (cos, sin) = ((1.0 - half * half) / (1.0 + half * half), 2.0 * half / (1.0 + half * half));
    let stretch = between(draw, 0.92, 1.08);
    (0..PLANE)
        .map(|pixel| {
            let (column, row) = center(pixel);
            let (dx, dy) = ((column - x) / radius, (row - y) / radius);
            if dx * dx + dy * dy > REACH {
                return 0.0;
            }
            let point = ((cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch);
            coverage(distance(class, point) * radius)
        })
        .collect()
}

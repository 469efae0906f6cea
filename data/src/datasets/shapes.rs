//! A drawn dataset that needs no files: ten shapes under many nuisances.
//!
//! Every picture shows four shapes of one kind, one somewhere in each quarter, and its class is that kind alone. Colours,
//! brightness (light on dark as often as dark on light), places, size, direction, stretch, background, specks and noise are
//! drawn at random, for each picture from its split and number only. So the pixels themselves, or features of an untrained
//! network, say little about the class. That there are four lets most crops of a picture show its class, and that its
//! colours lie under one light leaves little else to tell pictures apart once colours are changed: what a contrastive method
//! learns from these pictures is mostly shape. The pictures are the same ones on every platform.

use rayon::prelude::*;

use super::outlines::{self, distance};
use super::splits::Splits;
use crate::draw::{Draw, Purpose};
use crate::images::ImageSet;
use crate::transforms::Normalization;

pub use super::outlines::CLASS_NAMES;

/// Height and width of a picture in pixels.
pub const SIDE: usize = 32;
/// Training pictures, equally many of each class.
pub const TRAIN: usize = 5_000;
/// Test pictures, equally many of each class.
pub const TEST: usize = 1_000;

/// Channel statistics of the training pictures.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.366, 0.366, 0.366], std: [0.202, 0.202, 0.202] };

const SEED: u64 = 0x5ea_f00d;
/// Square of a distance from a shape's middle, in radii, beyond which it covers nothing however it is stretched.
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

/// The colours of one picture: all under a light of the same colour.
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

    /// A colour for something that is neither ground nor shape.
    fn other(&self, draw: &mut Draw) -> Color {
        let level = between(draw, 15.0, 250.0);
        tinted(self.light, level, draw)
    }
}

/// A shade of gray under a coloured light, and a little off.
fn tinted(light: Color, level: f32, draw: &mut Draw) -> Color {
    light.map(|light| level * light + between(draw, -12.0, 12.0))
}

/// The part of the nearest colour that covers a pixel whose centre has this distance (in pixels) from an outline.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

fn between(draw: &mut Draw, low: f64, high: f64) -> f32 {
    draw.uniform(low, high) as f32
}

/// A pixel's centre.
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

/// Lays a colour (by channel and pixel) over the canvas as far as it covers each pixel.
fn paint(canvas: &mut Canvas, cover: &[f32], color: impl Fn(usize, usize) -> f32) {
    for (channel, values) in canvas.iter_mut().enumerate() {
        for (pixel, (value, cover)) in values.iter_mut().zip(cover).enumerate() {
            *value += cover * (color(channel, pixel) - *value);
        }
    }
}

/// How much lighter each pixel is made by light that falls from one side, at most `most` up or down.
fn slope(most: f64, draw: &mut Draw) -> Vec<f32> {
    let (x, y) = (between(draw, -most, most), between(draw, -most, most));
    (0..PLANE)
        .map(|pixel| {
            let (column, row) = center(pixel);
            (x * (column - 16.0) + y * (row - 16.0)) / 32.0
        })
        .collect()
}

/// The ground colour with light from one side and soft blotches.
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

/// Linear interpolation between knots one apart.
fn blotch(knots: &[[f32; 6]; 6], x: f32, y: f32) -> f32 {
    let (column, row) = (x as usize, y as usize);
    let (right, down) = (x - column as f32, y - row as f32);
    let along = |row: &[f32; 6]| row[column] + right * (row[column + 1] - row[column]);
    let (upper, lower) = (along(&knots[row]), along(&knots[row + 1]));
    upper + down * (lower - upper)
}

/// Small dots and strokes that belong to no shape.
fn specks(canvas: &mut Canvas, palette: &Palette, draw: &mut Draw) {
    for _ in 0..draw.below(3) {
        let color = palette.other(draw);
        let cover = stroke(draw);
        paint(canvas, &cover, |channel, _| color[channel]);
    }
}

/// The share of each pixel that a short line covers.
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

/// The share of each pixel that the shapes cover: four of them, one somewhere in each quarter.
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

/// The share of each pixel that a shape in the quarter with this upper left corner covers.
fn shape(class: usize, radius: f32, corner: outlines::Point, draw: &mut Draw) -> Vec<f32> {
    let (x, y) = (corner.0 + between(draw, 5.5, 10.5), corner.1 + between(draw, 5.5, 10.5));
    // Up to 15° either way, as cosine and sine by way of the tangent of half the angle.
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

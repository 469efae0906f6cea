//! A picture of queries and their nearest images.

use std::io::Cursor;

use image::imageops::{FilterType, replace, resize};
use image::{ImageFormat, Rgb, RgbImage};
use qare_data::ImageSet;

use super::neighbours::{Found, Neighbours};

/// Smaller images are enlarged, by a whole number, to this height and width or more, so that pixels stay sharp.
const LEAST: u32 = 80;
/// Larger images are reduced to this height and width.
const MOST: u32 = 160;

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([70, 70, 70]);
const GREEN: Rgb<u8> = Rgb([0, 140, 60]);
const RED: Rgb<u8> = Rgb([215, 25, 28]);

/// The frame of an image: dashes tell wrong from right without colours.
#[derive(Clone, Copy)]
enum Frame {
    Query,
    Right,
    Wrong,
}

/// Draws the queries as PNG, a row for each: the query on the left, then its nearest images, right ones in a solid green frame, wrong ones in a
/// dashed red frame. A line separates the random queries from the worst ones below it.
pub fn png(neighbours: &Neighbours, images: &ImageSet) -> Vec<u8> {
    let picture = draw(neighbours, images);
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("an RGB image in memory is a PNG file");
    bytes.into_inner()
}

/// Sizes in pixels.
struct Layout {
    /// Height and width of an image.
    image: u32,
    /// Thickness of a frame.
    frame: u32,
}

impl Layout {
    fn of(side: u32) -> Self {
        let image = if side < LEAST { side * LEAST.div_ceil(side) } else { side.min(MOST) };
        Self { image, frame: (image / 20).max(4) }
    }

    /// Height and width of an image in its frame.
    fn framed(&self) -> u32 {
        self.image + 2 * self.frame
    }

    /// The space between two images.
    fn gap(&self) -> u32 {
        2 * self.frame
    }

    /// The space between a query and its nearest images, and between the two kinds of queries.
    fn wide_gap(&self) -> u32 {
        6 * self.frame
    }

    /// The left edge of the frame of a column; the query is column 0.
    fn left(&self, column: u32) -> u32 {
        self.gap() + column * (self.framed() + self.gap()) + if column > 0 { self.wide_gap() - self.gap() } else { 0 }
    }

    /// The upper edge of the frames of a row; the first `random` rows are above the line.
    fn top(&self, row: u32, random: u32) -> u32 {
        let below = row >= random && random > 0;
        self.gap() + row * (self.framed() + self.gap()) + if below { self.wide_gap() - self.gap() } else { 0 }
    }
}

fn draw(neighbours: &Neighbours, images: &ImageSet) -> RgbImage {
    let layout = Layout::of(images.side() as u32);
    let rows: Vec<&Found> = neighbours.random.iter().chain(&neighbours.worst).collect();
    let random = neighbours.random.len() as u32;
    let columns = 1 + rows.iter().map(|found| found.nearest.len()).max().unwrap_or(0) as u32;
    let (width, height) = (layout.left(columns), layout.top(rows.len() as u32, random));
    let mut picture = RgbImage::from_pixel(width, height, PAPER);
    for (row, found) in (0..).zip(rows) {
        let query = (found.query, Frame::Query);
        let nearest =
            found.nearest.iter().map(|(image, right)| (*image, if *right { Frame::Right } else { Frame::Wrong }));
        for (column, (index, frame)) in (0..).zip([query].into_iter().chain(nearest)) {
            let (left, top) = (layout.left(column), layout.top(row, random));
            draw_frame(&mut picture, frame, left, top, &layout);
            let inside = (left + layout.frame, top + layout.frame);
            replace(&mut picture, &scaled(images, index, layout.image), inside.0.into(), inside.1.into());
        }
    }
    if random > 0 && !neighbours.worst.is_empty() {
        let line = layout.top(random, random) - layout.wide_gap() / 2;
        for (x, y) in (layout.gap()..width - layout.gap()).flat_map(|x| [(x, line), (x, line + 1)]) {
            picture.put_pixel(x, y, INK);
        }
    }
    picture
}

fn draw_frame(picture: &mut RgbImage, frame: Frame, left: u32, top: u32, layout: &Layout) {
    let (end, thickness) = (layout.framed(), layout.frame);
    let colour = match frame {
        Frame::Query => INK,
        Frame::Right => GREEN,
        Frame::Wrong => RED,
    };
    // Dashes and the spaces between them, counted along an edge so that every corner has one.
    let pieces = (end / (4 * thickness)).max(1) * 2 + 1;
    let is_space = |along: u32| matches!(frame, Frame::Wrong) && (along * pieces / end) % 2 == 1;
    for (x, y) in (0..end).flat_map(|y| (0..end).map(move |x| (x, y))) {
        let (across_x, across_y) = (x.min(end - 1 - x), y.min(end - 1 - y));
        let along = if across_y < thickness { x } else { y };
        let thin = if matches!(frame, Frame::Query) { thickness / 2 } else { 0 };
        let depth = across_x.min(across_y);
        if (thin..thickness).contains(&depth) && !is_space(along) {
            picture.put_pixel(left + x, top + y, colour);
        }
    }
}

/// An image of the set, brought to a height and width.
fn scaled(images: &ImageSet, index: usize, size: u32) -> RgbImage {
    let (pixels, side) = (images.pixels(index), images.side());
    let plane = side * side;
    let image = RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let place = y as usize * side + x as usize;
        Rgb([0, 1, 2].map(|channel| pixels[channel * plane + place]))
    });
    let filter = if size >= side as u32 { FilterType::Nearest } else { FilterType::Triangle };
    resize(&image, size, size, filter)
}

#[cfg(test)]
mod tests;

//! Contact sheets: images in rows, with a heading of each row and words below the images.

use font8x8::{BASIC_FONTS, GREEK_FONTS, HIRAGANA_FONTS, LATIN_FONTS, UnicodeFonts};
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};

use crate::error::Result;
use crate::picture::{interleaved, png};

/// Height and width of letters.
const LETTER: u32 = 8;
const LINE: u32 = 10;
const GAP: u32 = 6;
const PAPER: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([20, 24, 32]);

/// An image on a sheet.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Planar 8-bit pixels, `[3, side, side]`.
    pub pixels: Vec<u8>,
    /// Lines of text below it.
    pub words: Vec<String>,
}

/// A sheet that grows row by row.
#[derive(Clone, Debug)]
pub struct ContactSheet {
    side: usize,
    /// Height and width of a shown image: a multiple of `side`, if that is small.
    shown: u32,
    rows: Vec<RgbImage>,
}

impl ContactSheet {
    /// Returns an empty sheet for images of a height and width. Images are enlarged by a whole factor to at least `least` pixels.
    pub fn new(side: usize, least: usize) -> Self {
        let factor = least.div_ceil(side.max(1)).max(1);
        Self { side, shown: (side * factor) as u32, rows: Vec::new() }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        let mut row = RgbImage::from_pixel(GAP + LETTER * text.chars().count() as u32, 2 * LINE + 2, PAPER);
        write(&mut row, text, GAP, LINE);
        self.rows.push(row);
    }

    /// Adds a row of images.
    ///
    /// # Panics
    /// If an image has another number of pixels.
    pub fn row(&mut self, images: &[Shown]) {
        let lines = images.iter().map(|image| image.words.len()).max().unwrap_or(0) as u32;
        let width = GAP + (self.shown + GAP) * images.len() as u32;
        let mut row = RgbImage::from_pixel(width, self.shown + 4 + LINE * lines, PAPER);
        for (place, image) in images.iter().enumerate() {
            assert_eq!(image.pixels.len(), 3 * self.side * self.side, "pixels of an image");
            let left = GAP + (self.shown + GAP) * place as u32;
            let picture = interleaved(&image.pixels, self.side);
            let picture = resize(&picture, self.shown, self.shown, FilterType::Nearest);
            image::imageops::replace(&mut row, &picture, i64::from(left), 0);
            let most = (self.shown / LETTER) as usize;
            for (number, words) in image.words.iter().enumerate() {
                let words: String = words.chars().take(most).collect();
                write(&mut row, &words, left, self.shown + 2 + LINE * number as u32);
            }
        }
        self.rows.push(row);
    }

    /// Returns the sheet with the rows of another below it.
    pub fn below(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// Returns the sheet as PNG.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn png(&self) -> Result<Vec<u8>> {
        let width = self.rows.iter().map(RgbImage::width).max().unwrap_or(1) + GAP;
        let height = self.rows.iter().map(|row| row.height() + GAP).sum::<u32>() + GAP;
        let mut sheet = RgbImage::from_pixel(width, height, PAPER);
        let mut top = GAP;
        for row in &self.rows {
            image::imageops::replace(&mut sheet, row, 0, i64::from(top));
            top += row.height() + GAP;
        }
        png(&sheet)
    }
}

/// Writes a line of text. A letter that the font lacks is a question mark.
fn write(image: &mut RgbImage, text: &str, left: u32, top: u32) {
    for (place, letter) in text.chars().enumerate() {
        let glyph = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| GREEK_FONTS.get(letter));
        let glyph = glyph.or_else(|| HIRAGANA_FONTS.get(letter)).or_else(|| BASIC_FONTS.get('?'));
        for (y, row) in glyph.unwrap_or_default().into_iter().enumerate() {
            for x in (0..LETTER).filter(|x| row >> x & 1 == 1) {
                let at = (left + LETTER * place as u32 + x, top + y as u32);
                if at.0 < image.width() && at.1 < image.height() {
                    image.put_pixel(at.0, at.1, INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_where_they_belong_and_text_is_written() {
        let image = |value: u8, words: &[&str]| Shown {
            pixels: vec![value; 3 * 4],
            words: words.iter().map(|word| word.to_string()).collect(),
        };
        let mut sheet = ContactSheet::new(2, 32);
        sheet.heading("cat ü 猫");
        sheet.row(&[image(200, &[]), image(90, &["flip", "b 1.00"])]);
        let found = image::load_from_memory(&sheet.png().unwrap()).unwrap().to_rgb8();
        let top = GAP + 2 * LINE + 2 + GAP;
        assert_eq!(found.get_pixel(GAP, top), &Rgb([200; 3]));
        assert_eq!(found.get_pixel(GAP + 32 + GAP + 31, top + 31), &Rgb([90; 3]));
        assert_eq!(found.get_pixel(GAP + 32, top), &PAPER);
        let ink = |rows: std::ops::Range<u32>, from: u32| {
            rows.flat_map(|y| (from..found.width()).map(move |x| (x, y)))
                .filter(|(x, y)| *found.get_pixel(*x, *y) == INK)
                .count()
        };
        assert!(ink(GAP..top, 0) > 60 && ink(top + 32..found.height(), GAP + 32) > 30);
        assert_eq!(
            (top + 32..found.height()).filter(|y| (0..GAP + 32).any(|x| *found.get_pixel(x, *y) == INK)).count(),
            0
        );
        assert!(ContactSheet::new(300, 96).png().is_ok());
    }
}

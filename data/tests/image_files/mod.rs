//! Small image files, each of one colour that tells which it is.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use qare_data::ImageSet;

/// Writes a picture of one colour, in the format that the name says, and the folders it lies in.
pub fn write(path: &Path, side: u32, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(side, side, Rgb(color)).save(path).unwrap();
}

/// Writes several of them below a folder; the red of each is its place in the list.
pub fn write_all(root: &Path, names: &[&str]) {
    for (red, name) in names.iter().enumerate() {
        write(&root.join(name), 64, [red as u8, 100, 200]);
    }
}

/// Name and label of each image.
#[allow(dead_code, reason = "not every test looks at them")]
pub fn contents(images: &ImageSet) -> Vec<(&str, u16)> {
    (0..images.len()).map(|index| (images.file_name(index).unwrap(), images.label(index))).collect()
}

/// The red of each image.
#[allow(dead_code, reason = "not every test looks at it")]
pub fn reds(images: &ImageSet) -> Vec<u8> {
    (0..images.len()).map(|index| images.pixels(index)[0]).collect()
}

//! Small image files. Each has a colour of its own, which identifies it.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use qare_data::ImageSet;

/// Writes an image of one colour in the format of the extension, and creates its folder.
pub fn write(path: &Path, side: u32, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(side, side, Rgb(color)).save(path).unwrap();
}

/// Writes several images below a folder. The red channel of each is its place in the list.
pub fn write_all(root: &Path, names: &[&str]) {
    for (red, name) in names.iter().enumerate() {
        write(&root.join(name), 64, [red as u8, 100, 200]);
    }
}

/// The name and the label of each image.
#[allow(dead_code, reason = "not every test looks at them")]
pub fn contents(images: &ImageSet) -> Vec<(&str, u16)> {
    (0..images.len()).map(|index| (images.file_name(index).unwrap(), images.label(index))).collect()
}

/// The red channel of each image.
#[allow(dead_code, reason = "not every test looks at it")]
pub fn reds(images: &ImageSet) -> Vec<u8> {
    (0..images.len()).map(|index| images.pixels(index)[0]).collect()
}

//! The files of TensorBoard's embedding projector: vectors, labels, and a sprite of thumbnails, in the run folder.

use std::fmt::Write as _;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use image::imageops::{FilterType, replace, resize};
use image::{ImageFormat, Rgb, RgbImage};
use qare_data::ImageSet;

use crate::error::{LabError, Result};
use crate::evaluation::features::Features;
use crate::runs::files::write_whole;

/// Most points, so that the projector stays fluent.
pub const MAX_POINTS: usize = 2000;
/// Largest side of a thumbnail.
const MAX_SIDE: u32 = 64;
/// The file that TensorBoard looks for. It names the others.
const CONFIG: &str = "projector_config.pbtxt";
const VECTORS: &str = "projector_vectors.tsv";
const METADATA: &str = "projector_metadata.tsv";
const SPRITE: &str = "projector_sprite.png";

/// Whether a file name is one of the projector's.
pub fn is_own(name: &str) -> bool {
    [CONFIG, VECTORS, METADATA, SPRITE].iter().any(|own| name.starts_with(own))
}

/// Whether a run folder has all files.
pub fn is_written(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// Deletes the file that TensorBoard looks for, so that it shows no embeddings of earlier weights.
///
/// # Errors
/// If the file cannot be deleted.
pub fn withdraw(folder: &Path) -> Result<()> {
    let path = folder.join(CONFIG);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(LabError::io("delete", &path, error)),
        _ => Ok(()),
    }
}

/// Writes the files for embeddings of images, which are the same rows. The file that TensorBoard looks for is the last.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, embeddings: &Features, images: &ImageSet) -> Result<()> {
    let mut vectors = String::new();
    for row in embeddings.values.chunks_exact(embeddings.dim) {
        let numbers: Vec<String> = row.iter().map(f32::to_string).collect();
        vectors += &numbers.join("\t");
        vectors.push('\n');
    }
    write_whole(&folder.join(VECTORS), vectors.as_bytes())?;
    write_whole(&folder.join(METADATA), metadata(images).as_bytes())?;
    let (sprite, side) = sprite(images);
    let mut file = Cursor::new(Vec::new());
    sprite.write_to(&mut file, ImageFormat::Png).map_err(LabError::failed)?;
    write_whole(&folder.join(SPRITE), &file.into_inner())?;
    let config = format!(
        "embeddings {{\n  tensor_name: \"embeddings\"\n  tensor_shape: {}\n  tensor_shape: {}\n  tensor_path: {VECTORS:?}\n  \
         metadata_path: {METADATA:?}\n  sprite {{\n    image_path: {SPRITE:?}\n    single_image_dim: {side}\n    \
         single_image_dim: {side}\n  }}\n}}\n",
        embeddings.len(),
        embeddings.dim
    );
    write_whole(&folder.join(CONFIG), config.as_bytes())
}

/// Returns a row for each image: its class, and its number in the set or the name of its file. With several columns, the first row has their
/// names.
fn metadata(images: &ImageSet) -> String {
    let clean = |text: &str| text.replace(|character: char| character.is_control(), " ");
    let mut rows = String::from("class\timage\n");
    for index in 0..images.len() {
        let class = match images.is_labeled() {
            true => clean(&images.class_names()[usize::from(images.labels()[index])]),
            false => String::new(),
        };
        let image = images.file_name(index).map_or_else(|| index.to_string(), clean);
        let _ = writeln!(rows, "{class}\t{image}");
    }
    rows
}

/// Returns thumbnails row by row, in as many columns as rows or one less row, and the side of each.
fn sprite(images: &ImageSet) -> (RgbImage, u32) {
    let full = images.side();
    let side = (full as u32).min(MAX_SIDE);
    let columns = (images.len() as f64).sqrt().ceil() as u32;
    // The projector takes the number of columns from the width.
    let rows = (images.len() as u32).div_ceil(columns);
    let mut sprite = RgbImage::from_pixel(columns * side, rows * side, Rgb([255; 3]));
    for index in 0..images.len() {
        let pixels = images.pixels(index);
        let picture = RgbImage::from_fn(full as u32, full as u32, |x, y| {
            let at = y as usize * full + x as usize;
            Rgb([0, 1, 2].map(|channel| pixels[channel * full * full + at]))
        });
        let picture = if side == full as u32 { picture } else { resize(&picture, side, side, FilterType::Triangle) };
        let (column, row) = (index as u32 % columns, index as u32 / columns);
        replace(&mut sprite, &picture, i64::from(column * side), i64::from(row * side));
    }
    (sprite, side)
}

#[cfg(test)]
mod tests {
    use qare_data::{DatasetName, LoadOptions};

    use super::*;

    #[test]
    fn files_have_a_row_and_a_thumbnail_for_each_image() {
        let dir = tempfile::tempdir().unwrap();
        let images =
            qare_data::load(DatasetName::Shapes, &LoadOptions::default()).unwrap().test.select(&[3, 1, 4, 1, 5]);
        let values: Vec<f32> = (0..10).map(|value| value as f32 / 4.0).collect();
        let embeddings = Features { values, dim: 2, labels: images.labels().to_vec() };
        write(dir.path(), &embeddings, &images).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read(VECTORS), "0\t0.25\n0.5\t0.75\n1\t1.25\n1.5\t1.75\n2\t2.25\n");
        let metadata = read(METADATA);
        assert_eq!(metadata.lines().count(), 6);
        let class = &images.class_names()[usize::from(images.labels()[1])];
        assert_eq!(metadata.lines().nth(2), Some(&format!("{class}\t1")[..]));
        assert!(read(CONFIG).contains("tensor_shape: 5\n  tensor_shape: 2\n"));
        let sprite = image::open(dir.path().join(SPRITE)).unwrap().to_rgb8();
        let side = images.side() as u32;
        assert_eq!(sprite.dimensions(), (3 * side, 2 * side));
        // The fourth image is the first of the second row.
        let pixels = images.pixels(3);
        let place = images.side() + 2;
        assert_eq!(sprite.get_pixel(2, side + 1).0[1], pixels[images.side() * images.side() + place]);
        let names = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name());
        assert!(names.into_iter().all(|name| is_own(&name.to_string_lossy())));
    }
}

//! Image files of all formats.

use qare_data::{CheckOptions, check_with};
use tempfile::tempdir;

use crate::{choice, told};

const EXTENSIONS: [&str; 12] = ["jpg", "png", "bmp", "webp", "gif", "tif", "ppm", "qoi", "tga", "ico", "ff", "pgm"];

/// The most pixels that an image may announce.
const PIXELS: u64 = 1 << 16;

/// Checks a folder with one image file, which decodes it.
pub fn file(bytes: &[u8]) {
    let Some((which, contents)) = choice(bytes, EXTENSIONS.len() as u8) else { return };
    let folder = tempdir().expect("a folder");
    let name = format!("picture.{}", EXTENSIONS[usize::from(which)]);
    std::fs::create_dir(folder.path().join("a")).expect("a folder");
    std::fs::write(folder.path().join("a").join(&name), contents).expect("a file");
    let options = CheckOptions { max_pixels: PIXELS, ..CheckOptions::default() };
    let report = check_with(folder.path(), &options).expect("there is such a folder");
    for problem in report.findings.into_iter().flat_map(|finding| finding.problems) {
        let text = told(problem);
        assert!(text.contains(&name), "an error that names no file: {text}");
    }
}

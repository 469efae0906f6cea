//! Recognises image files by name and by content.

use image::ImageFormat;

/// Extensions of the supported image files, in lower case.
const READ: [&str; 24] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "bmp", "dib", "webp", "gif", "tif", "tiff", "pbm", "pgm", "ppm",
    "pnm", "pam", "qoi", "tga", "icb", "vda", "vst", "ico", "ff",
];
/// Extensions of a format that has no signature.
const TGA: [&str; 4] = ["tga", "icb", "vda", "vst"];
/// Extensions of image files that are not supported.
const NOT_READ: [&str; 34] = [
    "heic", "heif", "avif", "jp2", "j2k", "jpx", "jxl", "jxr", "psd", "psb", "svg", "eps", "exr", "hdr", "dds", "npy",
    "npz", "raw", "cr2", "cr3", "nef", "arw", "dng", "orf", "rw2", "xcf", "dcm", "nii", "fits", "pcx", "sgi", "mat",
    "mp4", "avi",
];
/// Files that operating systems create.
const JUNK: [&str; 4] = ["thumbs.db", "desktop.ini", "icon\r", "ehthumbs.db"];

/// The kind of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Image,
    /// One or several images in an unsupported format.
    OtherImage,
    Other,
    /// A file that an operating system created.
    Junk,
}

/// The kind of the file with this name.
pub(crate) fn kind_of(name: &str) -> FileKind {
    let name = name.to_lowercase();
    let extension = extension_of(&name);
    if JUNK.contains(&name.as_str()) {
        FileKind::Junk
    } else if READ.contains(&&*extension) {
        FileKind::Image
    } else if NOT_READ.contains(&&*extension) {
        FileKind::OtherImage
    } else {
        FileKind::Other
    }
}

/// The extension of a name, in lower case; empty if there is none.
pub(crate) fn extension_of(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_lowercase())
}

/// The format of a file by its content, or by its extension if the format has no signature.
pub(crate) fn format_of(bytes: &[u8], extension: &str) -> Option<ImageFormat> {
    let by_content = image::guess_format(bytes).ok();
    by_content.or_else(|| (TGA.contains(&extension) && bytes.len() > 18).then_some(ImageFormat::Tga))
}

/// A message that says what a file of no supported format seems to be.
pub(crate) fn what_it_is(bytes: &[u8]) -> String {
    let starts = |start: &[u8]| bytes.starts_with(start);
    let text = bytes.trim_ascii_start();
    let begins = |start: &str| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()));
    let what = match bytes {
        [] => return "the file is empty".into(),
        _ if bytes.get(4..8) == Some(b"ftyp") => "an HEIF, AVIF or film file",
        _ if starts(b"8BPS") => "a Photoshop file",
        _ if starts(b"\0\0\0\x0cjP  ") || starts(b"\xff\x4f\xff\x51") => "a JPEG 2000 file",
        _ if starts(b"\xff\x0a") || starts(b"\0\0\0\x0cJXL ") => "a JPEG XL file",
        _ if starts(b"%PDF") => "a PDF file",
        _ if starts(b"PK\x03\x04") || starts(b"\x1f\x8b") => "an archive",
        _ if begins("<!doctype html") || begins("<html") => "a web page",
        _ if begins("<svg") || begins("<?xml") => "an SVG or XML file",
        _ if starts(b"version https://git-lfs") => "a pointer of Git LFS",
        _ if bytes.iter().take(1024).all(|&byte| byte == 0) => "a file of zeros",
        _ => return "it is in no known image format".into(),
    };
    format!("it is {what}, which is not read")
}

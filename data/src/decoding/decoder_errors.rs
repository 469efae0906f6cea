//! Errors of the decoders in plain words: the format, and whether the data are cut off, damaged, or of a kind that is not supported.
//! The words of the decoder follow.

use std::error::Error;
use std::io::{self, ErrorKind};

use image::error::UnsupportedErrorKind;
use image::{ImageError, ImageFormat};
use qare_printable::printable;

/// The name of a format in messages.
pub(super) fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Bmp => "BMP",
        ImageFormat::Farbfeld => "farbfeld",
        ImageFormat::Gif => "GIF",
        ImageFormat::Ico => "ICO",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Qoi => "QOI",
        ImageFormat::Tga => "TGA",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        _ => "image",
    }
}

/// What is wrong with a file of this format and length.
pub(super) fn told(format: ImageFormat, length: usize, error: &ImageError) -> String {
    let name = name_of(format);
    match error {
        _ if is_end_of_file(error) => cut_off(name, length),
        ImageError::Unsupported(unsupported) => {
            let what = match unsupported.kind() {
                UnsupportedErrorKind::GenericFeature(what) => what.clone(),
                UnsupportedErrorKind::Color(color) => format!("pixels of the type {color:?}"),
                _ => unsupported.to_string(),
            };
            format!("this kind of {name} file is not supported: {}", one_line(&what))
        }
        ImageError::Limits(_) => format!("the {name} data takes more memory than its pixels may need (--max-pixels)"),
        // The error itself only repeats the format.
        ImageError::Decoding(decoding) => match decoding.source() {
            Some(cause) => damaged(name, cause),
            None => format!("the {name} data is damaged"),
        },
        _ => damaged(name, error),
    }
}

/// The message about data that end too early.
pub(super) fn cut_off(name: &str, length: usize) -> String {
    format!("the {name} data is cut off after {length} bytes")
}

/// The message about data that a decoder refuses.
pub(super) fn damaged(name: &str, cause: impl std::fmt::Display) -> String {
    format!("the {name} data is damaged: {}", one_line(&cause.to_string()))
}

/// A decoder may quote what it finds in the file.
fn one_line(text: &str) -> String {
    printable(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn is_end_of_file(error: &ImageError) -> bool {
    let is_end = |error: &io::Error| error.kind() == ErrorKind::UnexpectedEof;
    if let ImageError::IoError(error) = error {
        return is_end(error);
    }
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_end)
}

#[cfg(test)]
mod tests {
    use image::error::{DecodingError, ImageFormatHint, LimitError, LimitErrorKind, UnsupportedError};
    use image::{ExtendedColorType, ImageError};

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_words() {
        let tiff = || ImageFormatHint::Exact(ImageFormat::Tiff);
        let unsupported = |kind| ImageError::Unsupported(UnsupportedError::from_format_and_kind(tiff(), kind));
        let decoding = |cause: Box<dyn Error + Send + Sync>| ImageError::Decoding(DecodingError::new(tiff(), cause));
        for (error, expected) in [
            (decoding("bad\x1b[2J\nheader".into()), r"the TIFF data is damaged: bad\u{1b}[2J header"),
            (ImageError::Decoding(DecodingError::from_format_hint(tiff())), "the TIFF data is damaged"),
            (
                ImageError::IoError(io::Error::new(ErrorKind::InvalidData, "corrupt deflate stream")),
                "the TIFF data is damaged: corrupt deflate stream",
            ),
            (decoding(Box::new(io::Error::from(ErrorKind::UnexpectedEof))), "the TIFF data is cut off after 9 bytes"),
            (ImageError::IoError(ErrorKind::UnexpectedEof.into()), "the TIFF data is cut off after 9 bytes"),
            (
                unsupported(UnsupportedErrorKind::GenericFeature("JPEG 2000 inside".into())),
                "this kind of TIFF file is not supported: JPEG 2000 inside",
            ),
            (
                unsupported(UnsupportedErrorKind::Color(ExtendedColorType::Cmyk16)),
                "this kind of TIFF file is not supported: pixels of the type Cmyk16",
            ),
            (
                ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)),
                "the TIFF data takes more memory than its pixels may need (--max-pixels)",
            ),
        ] {
            assert_eq!(told(ImageFormat::Tiff, 9, &error), expected);
        }
    }
}

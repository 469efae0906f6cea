//! Recognises archives by their first bytes, and describes other files.

use std::io::Read;

use flate2::read::GzDecoder;

use qare_printable::printable;

use crate::ArchiveFormat;

/// Number of bytes that suffice to recognise an archive. The signature of a tar file is at offset 257.
pub(super) const ENOUGH: usize = 512;

/// Number of bytes that are read of a page, to find its title.
pub(super) const PAGE: usize = 1 << 14;

/// The most characters of a quotation.
const QUOTED: usize = 80;

/// The signatures of a format.
fn marks(format: ArchiveFormat) -> &'static [&'static [u8]] {
    match format {
        // Two bytes of signature, and `deflate`, the only method.
        ArchiveFormat::TarGz => &[&[0x1f, 0x8b, 8]],
        // A first entry, or the end of an empty archive.
        ArchiveFormat::Zip => &[b"PK\x03\x04", b"PK\x05\x06"],
    }
}

/// The name of a format in messages.
pub(super) fn name(format: ArchiveFormat) -> &'static str {
    match format {
        ArchiveFormat::TarGz => "a gzip-compressed tar archive",
        ArchiveFormat::Zip => "a zip archive",
    }
}

/// Describes a file from its first bytes; `None` if it is an archive of the format.
pub(super) fn foreign(format: ArchiveFormat, bytes: &[u8]) -> Option<String> {
    let marked = marks(format).iter().any(|mark| {
        let length = mark.len().min(bytes.len());
        length > 0 && bytes[..length] == mark[..length]
    });
    if !marked {
        return Some(describe(bytes));
    }
    // A server may compress a page.
    let inner = if format == ArchiveFormat::TarGz { inflated(bytes) } else { Vec::new() };
    let is_page = matches!(markup(&inner), Some(Markup::Html | Markup::Xml | Markup::Json));
    is_page.then(|| format!("{}, compressed", describe(&inner)))
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut inner = Vec::new();
    // The missing end is an error after all available bytes are read.
    let _ = GzDecoder::new(bytes).take(PAGE as u64).read_to_end(&mut inner);
    inner
}

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Markup {
    Html,
    Xml,
    Json,
    None,
}

/// The kind of a text; `None` if the bytes are no text.
fn markup(bytes: &[u8]) -> Option<Markup> {
    let text = text(bytes)?;
    let small = text.to_lowercase();
    let tags = ["<!doctype html", "<html", "<head", "<body", "<title", "<meta", "<script"];
    Some(match small.chars().next()? {
        '<' if tags.iter().any(|tag| small.contains(tag)) => Markup::Html,
        '<' => Markup::Xml,
        '{' | '[' => Markup::Json,
        _ => Markup::None,
    })
}

/// Whether bytes are text.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    text(bytes).is_some()
}

/// The bytes as trimmed text, if they are text. The last character may be incomplete.
fn text(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        // The head of a page in another encoding is ASCII.
        Err(error) if error.valid_up_to() >= 8 && bytes.trim_ascii_start().starts_with(b"<") => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = !text.chars().any(|letter| letter.is_control() && !letter.is_whitespace());
    is_text.then(|| text.trim()).filter(|text| !text.is_empty())
}

/// Signatures of files that servers send instead of the archive.
const KINDS: [(&[u8], &str); 9] = [
    (&[0x1f, 0x8b], "a gzip-compressed file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"BZh", "a bzip2-compressed file"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "an xz-compressed file"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "a Zstandard-compressed file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF file"),
];

fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "a tar archive that is not compressed".to_owned();
    }
    if let Some((_, kind)) = KINDS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return (*kind).to_owned();
    }
    match (markup(bytes), text(bytes)) {
        (Some(kind), Some(text)) => {
            let (what, words) = match kind {
                Markup::Html => ("an HTML page", words(text)),
                Markup::Xml => ("an XML text", words(text)),
                Markup::Json => ("a JSON text", quoted(text)),
                Markup::None => ("a text", quoted(text)),
            };
            if words.is_empty() { format!("{what} without words") } else { format!("{what}, \"{words}\"") }
        }
        _ => {
            let first: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("a file that begins with the bytes {}", first.join(" "))
        }
    }
}

/// The title of a page, or its first words.
fn words(page: &str) -> String {
    let small = page.to_ascii_lowercase();
    let title = small.find("<title").and_then(|tag| {
        let start = tag + small[tag..].find('>')? + 1;
        let end = small[start..].find('<').map_or(page.len(), |end| start + end);
        Some(quoted(&page[start..end]))
    });
    title.filter(|title| !title.is_empty()).unwrap_or_else(|| quoted(&without_tags(page, &small)))
}

fn without_tags(page: &str, small: &str) -> String {
    let mut words = String::new();
    let mut at = 0;
    while let Some(open) = small[at..].find('<').map(|open| at + open) {
        words.push_str(&page[at..open]);
        words.push(' ');
        // Skip scripts and style sheets.
        let inside = ["script", "style"].into_iter().find(|name| small[open + 1..].starts_with(name));
        let end = match inside {
            Some(name) => small[open..].find(&format!("</{name}")).map(|end| open + end),
            None => Some(open),
        };
        match end.and_then(|end| small[end..].find('>').map(|close| end + close + 1)) {
            Some(close) => at = close,
            None => return words,
        }
    }
    words.push_str(&page[at..]);
    words
}

/// A text on one line, with control characters escaped, and shortened.
pub(super) fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = printable(line.chars().take(QUOTED).collect::<String>());
    if line.chars().count() > QUOTED { format!("{shown} …") } else { shown }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar_gz(bytes: &[u8]) -> Option<String> {
        foreign(ArchiveFormat::TarGz, bytes)
    }

    #[test]
    fn archives_are_what_they_should_be() {
        let mut tar = vec![0; 1024];
        tar[..8].copy_from_slice(b"toy/a.b\0");
        tar[257..262].copy_from_slice(b"ustar");
        let archive = gzip(&tar);
        for length in [1, 2, 3, 10, 15, archive.len()] {
            assert_eq!(tar_gz(&archive[..length]), None, "{length} bytes");
        }
        for start in ["PK\x03\x04more", "PK\x05\x06", "PK"] {
            assert_eq!(foreign(ArchiveFormat::Zip, start.as_bytes()), None, "{start:?}");
        }
    }

    #[test]
    fn other_files_are_named() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, what) in [
            (&b""[..], "nothing"),
            (&tar, "a tar archive that is not compressed"),
            (b"PK\x03\x04", "a zip archive"),
            (b"%PDF-1.7", "a PDF file"),
            (b"\x1f\x8b\x07", "a gzip-compressed file"),
            (b"\x00\xff\x01", "a file that begins with the bytes 00 ff 01"),
            (b"Not here.\n\x1b[2J", "a file that begins with the bytes 4e 6f 74 20 68 65 72 65"),
            (b" Not\n here. ", "a text, \"Not here.\""),
            (b"{\"error\": \"gone\"}", "a JSON text, \"{\"error\": \"gone\"}\""),
            (b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>", "an XML text, \"NoSuchKey\""),
        ] {
            assert_eq!(tar_gz(bytes).as_deref(), Some(what));
        }
        let zip = foreign(ArchiveFormat::Zip, &gzip(b"a"));
        assert_eq!(zip.as_deref(), Some("a gzip-compressed file"));
    }

    #[test]
    fn pages_say_their_title_or_their_words() {
        for (page, words) in [
            ("<html><title>Sign in\n to x</title><body>More</body></html>", "an HTML page, \"Sign in to x\""),
            ("\u{feff}  <!DOCTYPE html><p>Pay <b>now</b>", "an HTML page, \"Pay now\""),
            ("<html><script>a < b</script><style>p{}</style>Wait", "an HTML page, \"Wait\""),
            ("<HTML><TITLE></TITLE></HTML>", "an HTML page without words"),
            ("<html><title>Never closed", "an HTML page, \"Never closed\""),
            ("<html><body", "an HTML page without words"),
        ] {
            assert_eq!(tar_gz(page.as_bytes()).as_deref(), Some(words), "{page}");
        }
        let long = format!("<html>{}", "word ".repeat(100));
        let shown = tar_gz(long.as_bytes()).unwrap();
        assert!(shown.len() < 120 && shown.ends_with("…\""), "{shown}");
        let latin: &[u8] = b"<html><title>Acc\xe8s refus\xe9</title>";
        assert_eq!(tar_gz(latin).as_deref(), Some("an HTML page, \"Acc\""));
    }

    #[test]
    fn a_compressed_page_is_no_archive() {
        let page = gzip(b"<!DOCTYPE html><title>Sign in</title>");
        let expected = "an HTML page, \"Sign in\", compressed";
        assert_eq!(tar_gz(&page).as_deref(), Some(expected));
        assert_eq!(tar_gz(&page[..page.len() - 8]).as_deref(), Some(expected));
    }
}

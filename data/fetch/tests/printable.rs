//! Names and addresses with control characters: messages show them escaped.

use std::path::PathBuf;

use qare_fetch::{ArchiveFormat, FetchError};

const NAME: &str = "a\x1b[31m\t\u{202e}\nforged";
const SHOWN: &str = r"a\u{1b}[31m\t\u{202e}\nforged";

#[test]
fn every_error_shows_a_name_escaped() {
    let (path, url, text) = (|| PathBuf::from(NAME), || NAME.to_owned(), || "cause".to_owned());
    let (part, archive, folder) = (path, path, path);
    let io = || std::io::Error::other("cause");
    for error in [
        FetchError::BadAddress { url: url(), problem: text() },
        FetchError::Unreachable { url: url(), problem: text(), archive: archive() },
        FetchError::Cut { url: url(), problem: text(), have: 1, total: Some(2), part: part() },
        FetchError::Status { url: url(), status: "404 Not Found".into(), wait: None, archive: archive() },
        FetchError::NotArchive {
            url: url(),
            from: None,
            found: text(),
            expected: ArchiveFormat::Zip,
            archive: archive(),
        },
        FetchError::Proxy { url: url(), problem: text(), variable: "http_proxy" },
        FetchError::WrongSize { url: url(), expected: 1, found: 2, at_least: true },
        FetchError::Checksum { url: url(), expected: text(), found: text() },
        FetchError::ArchiveChecksum { path: path(), expected: text(), found: text(), guess: text() },
        FetchError::Incomplete { folder: folder(), problem: text() },
        FetchError::Busy { part: part() },
        FetchError::Write { path: path(), source: io() },
        FetchError::Read { path: path(), source: io() },
    ] {
        let text = error.to_string();
        assert!(text.contains(SHOWN), "{text}");
        assert!(!text.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{text:?}");
    }
}

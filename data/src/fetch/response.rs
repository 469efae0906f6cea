//! What the headers of an answer say.

use std::time::Duration;

use ureq::http::{HeaderMap, header};

use super::part::Origin;

/// The header `Content-Range` (RFC 9110, 14.4): `bytes 5-9/10`, with `*` for what is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The first byte that follows; none follow an answer of 416.
    pub(super) first: Option<u64>,
    /// Size of the whole file.
    pub(super) total: Option<u64>,
}

/// The content range of an answer, if it has one that can be understood.
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let first = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
    Some(ContentRange { first, total })
}

/// What an answer says of its file, whose size is known already.
pub(super) fn origin(url: &str, headers: &HeaderMap, total: Option<u64>) -> Origin {
    let value = |name| text(headers, name).map(str::to_owned);
    Origin { url: url.to_owned(), etag: value(header::ETAG), last_modified: value(header::LAST_MODIFIED), total }
}

/// Whether two answers of one address are of the same file, as far as they say.
pub(super) fn same_file(before: &Origin, now: &Origin) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let sizes_agree = before.total.is_none() || now.total.is_none() || before.total == now.total;
    // Other addresses have other validators: there the size has to do, and the checksum in the end.
    sizes_agree
        && (before.url != now.url || agree(&before.etag, &now.etag) && agree(&before.last_modified, &now.last_modified))
}

/// How long a busy server asks to wait, if it says so in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, header::RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &str) -> Option<ContentRange> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, value.parse().unwrap());
        content_range(&headers)
    }

    #[test]
    fn content_ranges() {
        assert_eq!(range("bytes 5-9/10"), Some(ContentRange { first: Some(5), total: Some(10) }));
        assert_eq!(range("bytes 5-9/*"), Some(ContentRange { first: Some(5), total: None }));
        assert_eq!(range("bytes */10"), Some(ContentRange { first: None, total: Some(10) }));
        for wrong in ["5-9/10", "bytes 5-9", "bytes 5/10", "bytes -9/10", "items 5-9/10", "bytes 5-9/-1"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_same_file() {
        let file = |url: &str, etag: Option<&str>, total| Origin {
            url: url.to_owned(),
            etag: etag.map(str::to_owned),
            last_modified: None,
            total,
        };
        let before = file("u", Some("1"), Some(10));
        assert!(same_file(&before, &file("u", Some("1"), None)));
        assert!(same_file(&before, &file("u", None, Some(10))));
        assert!(same_file(&before, &file("mirror", Some("2"), Some(10))));
        assert!(!same_file(&before, &file("u", Some("2"), Some(10))));
        assert!(!same_file(&before, &file("u", Some("1"), Some(11))));
        assert!(!same_file(&before, &file("mirror", Some("1"), Some(11))));
    }
}

//! The headers of an answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::http::{HeaderMap, header};

use crate::part::Origin;

/// The header `Content-Range` (RFC 9110, 14.4): `bytes 5-9/10`, with `*` for what is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Offset of the first byte; `None` for status 416.
    pub(super) first: Option<u64>,
    /// Offset of the last byte.
    pub(super) last: Option<u64>,
    /// Size of the whole file.
    pub(super) total: Option<u64>,
}

/// The content range of an answer, if it has a valid one.
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    if range == "*" {
        return Some(ContentRange { first: None, last: None, total });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let holds = first <= last && total.is_none_or(|total: u64| last < total);
    holds.then_some(ContentRange { first: Some(first), last: Some(last), total })
}

impl ContentRange {
    /// Whether the range starts at `offset` and matches the length of the content, if that is known.
    pub(super) fn starts_at(&self, offset: u64, length: Option<u64>) -> bool {
        let promised = self.first.zip(self.last).map(|(first, last)| last - first + 1);
        self.first == Some(offset) && length.is_none_or(|length| promised == Some(length))
    }
}

/// The properties of the file of an answer, given its size.
pub(super) fn origin(url: &str, headers: &HeaderMap, total: Option<u64>) -> Origin {
    let value = |name| text(headers, name).map(str::to_owned);
    Origin { url: url.to_owned(), etag: value(header::ETAG), last_modified: value(header::LAST_MODIFIED), total }
}

/// Whether two answers may be about the same file.
pub(super) fn same_file(before: &Origin, now: &Origin) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let sizes_agree = before.total.is_none() || now.total.is_none() || before.total == now.total;
    // Validators of different addresses are not comparable: the size must do, and finally the checksum.
    sizes_agree
        && (before.url != now.url || agree(&before.etag, &now.etag) && agree(&before.last_modified, &now.last_modified))
}

/// The wait that a server asks for, in seconds or until a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?;
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(date(value)?.duration_since(now).unwrap_or_default()),
    }
}

/// Parses a date of a header (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(value: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = value.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let number =
        |part: &str, range: std::ops::RangeInclusive<u64>| part.parse().ok().filter(|part| range.contains(part));
    let (day, year) = (number(day, 1..=31)?, number(year, 1970..=9999)?);
    let (hour, minute, second) = (number(hour, 0..=23)?, number(minute, 0..=59)?, number(second, 0..=60)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + lengths[..month as usize].iter().sum::<u64>() + day - 1;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// The content type of an answer, without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = text(headers, header::CONTENT_TYPE)?.split(';').next()?.trim().to_lowercase();
    (!value.is_empty()).then_some(value)
}

/// Whether content of this type is a page or a message, and never a part of an archive.
pub(super) fn is_page(content_type: &str) -> bool {
    matches!(content_type, "text/html" | "application/xhtml+xml" | "application/json")
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
        let five_to_nine = |total| Some(ContentRange { first: Some(5), last: Some(9), total });
        assert_eq!(range("bytes 5-9/10"), five_to_nine(Some(10)));
        assert_eq!(range("bytes 5-9/*"), five_to_nine(None));
        assert_eq!(range("bytes */10"), Some(ContentRange { first: None, last: None, total: Some(10) }));
        for wrong in [
            "5-9/10",
            "bytes 5-9",
            "bytes 5/10",
            "bytes -9/10",
            "items 5-9/10",
            "bytes 5-9/-1",
            "bytes 9-5/10",
            "bytes 5-9/9",
        ] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_has_to_be_the_one_asked_for() {
        let range = range("bytes 5-9/10").unwrap();
        assert!(range.starts_at(5, Some(5)) && range.starts_at(5, None));
        assert!(!range.starts_at(0, Some(5)) && !range.starts_at(5, Some(10)));
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        // The example of RFC 9110, 5.6.7; `date -d` gives the number.
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(wait("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800 - 784_111_777));
        for wrong in
            ["soon", "-1", "1.5", "Sun, 06 Nov 1994", "Sun, 00 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"]
        {
            assert_eq!(wait(wrong), None, "{wrong}");
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

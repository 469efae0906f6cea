//! Progress reports of long operations.

/// A long operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Reading and decoding image files. A part is a file.
    ReadingImages,
    /// Training a classifier on frozen features. A part is an epoch.
    ProbeEpochs,
}

/// A progress report: `done` of `total` parts are finished.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The operation.
    pub work: Work,
    /// Number of finished parts.
    pub done: usize,
    /// Number of all parts.
    pub total: usize,
    /// A figure of the last finished part as text; may be empty.
    pub figure: &'a str,
}

/// Receives progress reports, possibly on several threads.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// Ignores progress reports.
pub fn ignore(_progress: Progress<'_>) {}

/// Formats seconds as `12s`, `3m05s` or `1h02m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_at_most_two_units() {
        assert_eq!([0.4, 59.0, 61.0, 3725.0].map(duration), ["0s", "59s", "1m01s", "1h02m"]);
    }
}

//! How far work is that takes a while.

/// Work that takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Image files are read and decoded.
    ReadingImages,
    /// A classifier learns on frozen features, epoch after epoch.
    ProbeEpochs,
}

/// A report on some work: `done` of `total` is done.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is worked on.
    pub work: Work,
    /// Parts that are done; all, when it ends.
    pub done: usize,
    /// All parts.
    pub total: usize,
    /// A figure of the part that was done last, in words.
    pub figure: &'a str,
}

/// Hears of progress, from any thread.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// Hears nothing.
pub fn ignore(_progress: Progress<'_>) {}

/// Seconds as a person reads them: `12s`, `3m05s`, `1h02m`.
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
    fn durations_read_well() {
        assert_eq!([0.4, 59.0, 61.0, 3725.0].map(duration), ["0s", "59s", "1m01s", "1h02m"]);
    }
}

//! The machine and the date of a benchmark.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The machine that ran a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// Number of threads that the program used.
    pub threads: usize,
    #[serde(default)]
    pub gpu: Option<String>,
    pub system: String,
}

impl Machine {
    /// The machine that this program runs on.
    pub fn current() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            cpu: processor().unwrap_or_else(|| std::env::consts::ARCH.to_string()),
            cores,
            threads: rayon::current_num_threads(),
            gpu: graphics_card(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The model of the first NVIDIA GPU, as its driver names it, if the backend can use one.
fn graphics_card() -> Option<String> {
    if !cfg!(any(feature = "cuda", feature = "vulkan", feature = "wgpu")) {
        return None;
    }
    let folder = std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten().next()?;
    let text = std::fs::read_to_string(folder.path().join("information")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Model"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// Today's date in UTC, as `YYYY-MM-DD`.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date_of(seconds / 86_400)
}

/// The date `days` days after 1 January 1970.
fn date_of(days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut rest) = (1970, days);
    while rest >= 365 + u64::from(leap(year)) {
        rest -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", rest + 1)
}

#[cfg(test)]
mod tests {
    use super::date_of;

    #[test]
    fn dates_agree_with_the_calendar() {
        let dates = [0, 58, 59, 364, 365, 11_016, 19_782, 20_088].map(date_of);
        assert_eq!(
            dates,
            [
                "1970-01-01",
                "1970-02-28",
                "1970-03-01",
                "1970-12-31",
                "1971-01-01",
                "2000-02-29",
                "2024-02-29",
                "2024-12-31"
            ]
        );
    }
}

//! What the environment asks of the driver.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Settings, read once. See the crate's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Compute capability of the device.
    pub capability: (u32, u32),
    /// The version of CUDA that the driver is of.
    pub version: (u32, u32),
    /// Time that a kernel takes.
    pub kernel_time: Duration,
    /// What reads give.
    pub reads: Reads,
    /// File for one line per event.
    pub log: Option<PathBuf>,
    /// File for the totals.
    pub summary: Option<PathBuf>,
    /// NVIDIA's NVRTC, for calls that reach this library under its name.
    pub nvrtc: Option<PathBuf>,
}

/// What copies from device to host give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Zeros.
    Zeros,
    /// Different f32 numbers from 0.5 to 1, for programs that go on in another way with zeros.
    Numbers,
    /// What the memory holds: uploads, and zeros where kernels should have written.
    Memory,
}

impl Settings {
    /// Reads settings from variables.
    ///
    /// # Errors
    /// If a variable has a value that is not understood.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let version = |name: &str, default: (u32, u32)| match variable(name) {
            None => Ok(default),
            Some(text) => text
                .split_once('.')
                .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
                .ok_or(format!("{name}={text}: expected MAJOR.MINOR, such as {}.{}", default.0, default.1)),
        };
        let microseconds = match variable("DRY_CUDA_KERNEL_MICROSECONDS") {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| format!("DRY_CUDA_KERNEL_MICROSECONDS={text}: expected a number of microseconds"))?,
        };
        let reads = match variable("DRY_CUDA_READS").as_deref() {
            None | Some("zeros") => Reads::Zeros,
            Some("numbers") => Reads::Numbers,
            Some("memory") => Reads::Memory,
            Some(text) => return Err(format!("DRY_CUDA_READS={text}: expected zeros, numbers or memory")),
        };
        Ok(Self {
            capability: version("DRY_CUDA_CAPABILITY", (9, 0))?,
            version: version("DRY_CUDA_VERSION", (13, 0))?,
            kernel_time: Duration::from_micros(microseconds),
            reads,
            log: path("DRY_CUDA_LOG"),
            summary: path("DRY_CUDA_SUMMARY"),
            nvrtc: path("DRY_CUDA_NVRTC"),
        })
    }
}

/// The settings of the process.
///
/// # Errors
/// If a variable has a value that is not understood.
pub fn settings() -> Result<&'static Settings, &'static str> {
    static SETTINGS: OnceLock<Result<Settings, String>> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings::from(|name| std::env::var(name).ok())).as_ref().map_err(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings, String> {
        Settings::from(|asked| (asked == name).then(|| value.to_string()))
    }

    #[test]
    fn values_are_understood_or_refused() {
        let defaults = Settings::from(|_| None).unwrap();
        assert_eq!((defaults.capability, defaults.reads, defaults.kernel_time), ((9, 0), Reads::Zeros, Duration::ZERO));
        assert_eq!(with("DRY_CUDA_CAPABILITY", "12.1").unwrap().capability, (12, 1));
        assert_eq!((defaults.version, with("DRY_CUDA_VERSION", "12.8").unwrap().version), ((13, 0), (12, 8)));
        assert_eq!(with("DRY_CUDA_KERNEL_MICROSECONDS", "250").unwrap().kernel_time, Duration::from_micros(250));
        for (name, reads) in [("zeros", Reads::Zeros), ("numbers", Reads::Numbers), ("memory", Reads::Memory)] {
            assert_eq!(with("DRY_CUDA_READS", name).unwrap().reads, reads);
        }
        assert_eq!(with("DRY_CUDA_LOG", "").unwrap().log, None);
        for (name, value) in [
            ("DRY_CUDA_CAPABILITY", "9"),
            ("DRY_CUDA_CAPABILITY", "9.x"),
            ("DRY_CUDA_VERSION", "13"),
            ("DRY_CUDA_KERNEL_MICROSECONDS", "-1"),
            ("DRY_CUDA_READS", "zero"),
        ] {
            assert!(with(name, value).unwrap_err().starts_with(&format!("{name}={value}: expected")));
        }
    }
}

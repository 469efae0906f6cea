//! `--device`: a number, or the CPU.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which device of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum DeviceChoice {
    /// The CPU.
    Cpu,
    /// One of those that `qare devices` numbers, which are GPUs where the backend is for GPUs.
    Number(usize),
}

/// As a recipe has it: `0` or `"cpu"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a device: \"cpu\", or a number of those that `qare devices` lists")]
enum Written {
    Number(usize),
    Name(String),
}

impl TryFrom<Written> for DeviceChoice {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(number) => Ok(Self::Number(number)),
            Written::Name(name) => name.parse(),
        }
    }
}

impl From<DeviceChoice> for Written {
    fn from(choice: DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Cpu => Written::Name("cpu".into()),
            DeviceChoice::Number(number) => Written::Number(number),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            number => number.parse().map(Self::Number).map_err(|_| {
                format!("`{text}` is no device: expected cpu, or a number of those that `qare devices` lists")
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Number(number) => f.pad(&number.to_string()),
        }
    }
}

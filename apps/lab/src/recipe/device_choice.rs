//! The device of a recipe or of `--device`: a number, or the CPU.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DeviceRepr", into = "DeviceRepr")]
pub enum DeviceChoice {
    /// The CPU.
    Cpu,
    /// The number of a device in the list of `qare devices`. On a GPU backend these are GPUs.
    Number(usize),
}

/// A device as it is written in a recipe: `0` or `"cpu"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a device: \"cpu\", or a number from the list of `qare devices`")]
enum DeviceRepr {
    Number(usize),
    Name(String),
}

impl TryFrom<DeviceRepr> for DeviceChoice {
    type Error = String;

    fn try_from(repr: DeviceRepr) -> Result<Self, String> {
        match repr {
            DeviceRepr::Number(number) => Ok(Self::Number(number)),
            DeviceRepr::Name(name) => name.parse(),
        }
    }
}

impl From<DeviceChoice> for DeviceRepr {
    fn from(choice: DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Cpu => DeviceRepr::Name("cpu".into()),
            DeviceChoice::Number(number) => DeviceRepr::Number(number),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            number => number.parse().map(Self::Number).map_err(|_| {
                format!("unknown device `{text}`: expected cpu, or a number from the list of `qare devices`")
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

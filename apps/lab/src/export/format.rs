//! The formats of an export.

use std::fmt;
use std::str::FromStr;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Weights under PyTorch's names.
    Safetensors,
    /// A graph for onnxruntime and other programs.
    Onnx,
    /// A record of Burn.
    Mpk,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 3] = [Format::Safetensors, Format::Onnx, Format::Mpk];

    /// Returns the name of the format, which is the extension of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Onnx => "onnx",
            Format::Mpk => "mpk",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == name);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

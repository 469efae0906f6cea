//! Where views are computed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a loader computes views. Both give the same bytes before the normalisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AugmentOn {
    /// On the threads of the loader.
    #[default]
    Host,
    /// On the device of the loader: the host draws the random choices, and uploads them with the raw images. For contrastive views.
    Device,
}

impl AugmentOn {
    /// All places.
    pub const ALL: [Self; 2] = [Self::Host, Self::Device];

    /// The name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Device => "device",
        }
    }
}

impl fmt::Display for AugmentOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AugmentOn {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|place| place.as_str() == name);
        named.ok_or_else(|| format!("`{name}` is no place to compute views: expected host or device"))
    }
}

impl TryFrom<String> for AugmentOn {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<AugmentOn> for String {
    fn from(place: AugmentOn) -> String {
        place.to_string()
    }
}

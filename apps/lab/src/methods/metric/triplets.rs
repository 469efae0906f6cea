//! Which triplets the triplet loss counts, in recipes and flags.

use std::fmt;
use std::str::FromStr;

use qare::metric::Triplets;
use serde::{Deserialize, Serialize};

/// Which triplets of an anchor, a positive and a negative count in `triplet`: see [`Triplets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TripletChoice {
    /// All that violate the margin.
    #[default]
    All,
    /// Those whose negative is not further than the positive.
    Hard,
    /// Those whose negative is further, and within the margin.
    SemiHard,
}

impl TripletChoice {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::All, Self::Hard, Self::SemiHard];

    /// Returns the name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Hard => "hard",
            Self::SemiHard => "semihard",
        }
    }
}

impl From<TripletChoice> for Triplets {
    fn from(choice: TripletChoice) -> Triplets {
        match choice {
            TripletChoice::All => Triplets::All,
            TripletChoice::Hard => Triplets::Hard,
            TripletChoice::SemiHard => Triplets::SemiHard,
        }
    }
}

impl fmt::Display for TripletChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TripletChoice {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|choice| choice.as_str() == name)
            .ok_or_else(|| format!("unknown triplets `{name}`; known are {}", known()))
    }
}

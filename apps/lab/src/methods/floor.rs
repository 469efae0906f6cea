//! The recipe's `similarity_floor`.

use std::fmt;
use std::str::FromStr;

use qare::SimilarityFloor;
use serde::{Deserialize, Serialize};

/// The lower bound of the similarities in the set term: `"1e-8"`, as in the paper's repository, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "FloorRepr")]
pub struct Floor(pub SimilarityFloor);

/// A floor as it is written in a recipe.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected 1e-8 or \"none\"")]
enum FloorRepr {
    Number(f64),
    Name(String),
}

impl Default for Floor {
    fn default() -> Self {
        Self(SimilarityFloor::Epsilon)
    }
}

impl From<Floor> for &'static str {
    fn from(floor: Floor) -> Self {
        match floor.0 {
            SimilarityFloor::Epsilon => "1e-8",
            SimilarityFloor::None => "none",
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).into())
    }
}

impl TryFrom<FloorRepr> for Floor {
    type Error = String;

    fn try_from(repr: FloorRepr) -> Result<Self, String> {
        match repr {
            FloorRepr::Number(number) => number.to_string().parse(),
            FloorRepr::Name(name) => name.parse(),
        }
    }
}

impl FromStr for Floor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(SimilarityFloor::None)),
            number if number.parse() == Ok(1e-8) => Ok(Self(SimilarityFloor::Epsilon)),
            other => Err(format!("unknown similarity floor `{other}`; known are 1e-8 and none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        floor: Floor,
    }

    #[test]
    fn recipes_name_a_floor_or_give_its_number() {
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.floor.0);
        assert_eq!(read("floor = \"none\"").unwrap(), SimilarityFloor::None);
        assert_eq!(read("floor = \"1e-8\"").unwrap(), SimilarityFloor::Epsilon);
        assert_eq!(read("floor = 1e-8").unwrap(), SimilarityFloor::Epsilon);
        assert!(read("floor = 0.5").unwrap_err().to_string().contains("known are 1e-8 and none"));
        for floor in [Floor::default(), Floor(SimilarityFloor::None)] {
            let written = toml::to_string(&Holder { floor }).unwrap();
            assert_eq!(read(&written).unwrap(), floor.0, "{written}");
        }
    }
}

//! The classes that are held out of training and tested on.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use qare_printable::printable;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{DataError, counted, listed};

/// Which classes of a folder are the test split. Training has all images of the other classes, and no image of these.
///
/// As text: `100`, `0.5`, or names with commas between them. In a recipe: an integer, a float, such text, or a list of names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TestClasses {
    /// The last classes in the order of their names: this many.
    Last(usize),
    /// The last classes in the order of their names: this fraction of them, above 0 and below 1, rounded to the nearest number.
    Fraction(f64),
    /// The classes of these names.
    Names(Vec<String>),
}

impl TestClasses {
    /// Returns itself if some classes can divide as it says.
    fn valid(self) -> Result<Self, DataError> {
        let problem = match &self {
            Self::Last(0) => "expected at least 1 class".to_owned(),
            Self::Fraction(part) if !(*part > 0.0 && *part < 1.0) => {
                "expected a whole number of classes, a fraction above 0 and below 1, or names of classes".to_owned()
            }
            Self::Names(names) if names.is_empty() || names.iter().any(String::is_empty) => {
                "a name is empty; expected names of classes, with commas between them".to_owned()
            }
            Self::Names(names) if names.iter().collect::<BTreeSet<_>>().len() < names.len() => {
                "a class is named twice; expected each once".to_owned()
            }
            _ => return Ok(self),
        };
        Err(self.problem(problem))
    }

    fn problem(&self, problem: String) -> DataError {
        DataError::TestClasses { value: self.to_string(), problem }
    }

    /// For each of the sorted `classes`, whether it is a test class.
    ///
    /// # Errors
    /// [`DataError::TestClasses`] if a named class does not exist, or no class would be left for training or for testing.
    pub(crate) fn chosen(&self, classes: &[String]) -> Result<Vec<bool>, DataError> {
        let last = match self.clone().valid()? {
            Self::Last(count) => count,
            Self::Fraction(part) => (part * classes.len() as f64).round() as usize,
            Self::Names(names) => {
                if let Some(unknown) = names.iter().find(|name| !classes.contains(name)) {
                    let (unknown, known) = (printable(unknown), listed(classes));
                    let like = nearest(&unknown, classes).map(|class| format!("; did you mean {}?", printable(class)));
                    let like = like.as_deref().unwrap_or(";");
                    return Err(self.problem(format!("there is no class {unknown}{like} there are {known}")));
                }
                let chosen: Vec<bool> = classes.iter().map(|class| names.contains(class)).collect();
                return self.both_sides(chosen);
            }
        };
        self.both_sides((0..classes.len()).map(|class| class + last >= classes.len()).collect())
    }

    fn both_sides(&self, chosen: Vec<bool>) -> Result<Vec<bool>, DataError> {
        let tested = chosen.iter().filter(|tested| **tested).count();
        let side = match tested {
            0 => "for testing",
            all if all == chosen.len() => "for training",
            _ => return Ok(chosen),
        };
        let there = counted(chosen.len(), "class");
        Err(self.problem(format!("it leaves no class {side}, as the folder has {there}; expected some on either side")))
    }
}

/// The class whose name is most like an unknown one, if any is.
fn nearest<'a>(unknown: &str, classes: &'a [String]) -> Option<&'a String> {
    const LIKE: f64 = 0.8;
    let similar = classes.iter().map(|class| (strsim::jaro(&class.to_lowercase(), &unknown.to_lowercase()), class));
    similar
        .filter(|(similarity, _)| *similarity >= LIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, class)| class)
}

impl Display for TestClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(count) => write!(f, "{count}"),
            Self::Fraction(part) => write!(f, "{part:?}"),
            Self::Names(names) => f.write_str(&listed(names)),
        }
    }
}

impl FromStr for TestClasses {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let text = text.trim();
        if let Ok(count) = text.parse() {
            return Self::Last(count).valid();
        }
        if let Ok(part) = text.parse::<f64>() {
            return Self::Fraction(part).valid();
        }
        Self::Names(text.split(',').map(|name| name.trim().to_owned()).collect()).valid()
    }
}

impl<'de> Deserialize<'de> for TestClasses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = TestClasses;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number of classes, a fraction, or a list of the names of classes")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<TestClasses, E> {
                TestClasses::Last(usize::try_from(count).unwrap_or(usize::MAX)).valid().map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<TestClasses, E> {
                match u64::try_from(count) {
                    Ok(count) => self.visit_u64(count),
                    Err(_) => self.visit_f64(count as f64),
                }
            }

            fn visit_f64<E: Error>(self, part: f64) -> Result<TestClasses, E> {
                TestClasses::Fraction(part).valid().map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TestClasses, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TestClasses, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                TestClasses::Names(names).valid().map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("c{class:03}")).collect()
    }

    fn tested(text: &str, count: usize) -> Result<Vec<usize>, String> {
        let chosen = text.parse::<TestClasses>().and_then(|setting| setting.chosen(&classes(count)));
        let chosen = chosen.map_err(|error| error.to_string())?;
        Ok((0..count).filter(|class| chosen[*class]).collect())
    }

    #[test]
    fn the_last_classes_a_fraction_of_them_or_those_that_are_named() {
        assert_eq!(tested("2", 5), Ok(vec![3, 4]));
        assert_eq!(tested("0.5", 4), Ok(vec![2, 3]));
        // 0.3 · 5 = 1.5 and 0.25 · 5 = 1.25.
        assert_eq!(tested("0.3", 5), Ok(vec![3, 4]));
        assert_eq!(tested("0.25", 5), Ok(vec![4]));
        assert_eq!(tested("c003, c000", 5), Ok(vec![0, 3]));
    }

    #[test]
    fn a_side_without_classes_is_an_error() {
        let message = |text, count| tested(text, count).unwrap_err();
        assert_eq!(
            message("5", 5),
            "test_classes is 5: it leaves no class for training, as the folder has 5 classes; expected some on either side"
        );
        assert!(message("9", 5).contains("no class for training"));
        assert!(message("0.99", 5).contains("no class for training"));
        assert!(message("0.01", 5).contains("no class for testing"));
        assert!(message("1", 1).contains("no class for training, as the folder has 1 class;"));
        assert!(message("c000,c001", 2).contains("no class for training"));
    }

    #[test]
    fn what_names_no_classes_is_an_error() {
        for (text, part) in [
            ("0", "at least 1 class"),
            ("0.0", "above 0 and below 1"),
            ("1.0", "above 0 and below 1"),
            ("-3", "above 0 and below 1"),
            ("nan", "above 0 and below 1"),
            ("", "a name is empty"),
            ("c000,,c001", "a name is empty"),
            ("c000,c000", "named twice"),
            ("cat", "there is no class cat; there are c000, c001, c002, c003, c004"),
        ] {
            let message = tested(text, 5).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn it_is_unchanged_by_writing_and_reading() {
        for setting in [
            TestClasses::Last(98),
            TestClasses::Fraction(0.5),
            TestClasses::Names(vec!["12".into(), "a, b".into(), "0.5".into()]),
        ] {
            let json = serde_json::to_string(&setting).unwrap();
            assert_eq!(serde_json::from_str::<TestClasses>(&json).unwrap(), setting);
        }
        let named = TestClasses::Names(vec!["a".into(), "b".into()]);
        assert_eq!(serde_json::from_str::<TestClasses>("\"a, b\"").unwrap(), named);
        for wrong in ["0", "-1", "1.5", "[]", "[\"a\", \"a\"]", "[1]", "true", "{}"] {
            assert!(serde_json::from_str::<TestClasses>(wrong).is_err(), "{wrong}");
        }
    }
}

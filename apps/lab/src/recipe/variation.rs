//! A setting that a sweep varies.

use std::fmt;
use std::str::FromStr;

use super::layers::{Layer, without_aliases};

/// Settings that are the same in all runs of a sweep: those with flags of their own, and those of its images, which are read once.
const FIXED: [(&str, &str); 20] = [
    ("method", "use --methods"),
    ("seed", "use --seeds"),
    ("base", "it is no setting of a run"),
    ("out", "the runs of a sweep are in one folder"),
    ("id", "it names the whole sweep"),
    ("checkpoint", "use a sweep with --id for each of the weights"),
    ("dataset", IMAGES),
    ("data_dir", IMAGES),
    ("image_size", IMAGES),
    ("source_size", IMAGES),
    ("test_classes", IMAGES),
    ("skip_broken", IMAGES),
    ("max_pixels", IMAGES),
    ("device", NO_RESULT),
    ("num_workers", NO_RESULT),
    ("augment_on", NO_RESULT),
    ("figures", NO_RESULT),
    ("logger", NO_RESULT),
    ("compare_untrained", NO_RESULT),
    ("gpus", "use a sweep with --id for each choice of devices"),
];
const NO_RESULT: &str = "it changes no result";
const IMAGES: &str = "all runs of a sweep share their images";

/// A setting of recipes with the values that runs have, from text such as `beta=0,0.5,1` or `set_term=spectral,mean`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    setting: String,
    /// Each value as text and as TOML.
    values: Vec<(String, toml::Value)>,
}

impl Variation {
    /// Returns the name of the setting in recipes.
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Returns the values as text.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(|(text, _)| text.as_str())
    }

    /// Returns the settings of a run with one of the values.
    ///
    /// # Panics
    /// If there are not so many values.
    pub fn layer(&self, index: usize) -> Layer {
        Layer::from_iter([(self.setting.clone(), self.values[index].1.clone())])
    }
}

impl FromStr for Variation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, list) = text.split_once('=').ok_or("expected SETTING=VALUE,VALUE, such as beta=0,0.5,1")?;
        let name = name.trim().trim_start_matches('-').replace('-', "_");
        if name.is_empty() || name.contains('.') {
            return Err("expected the name of a setting, not of one in a table, before the =".into());
        }
        let named = without_aliases(Layer::from_iter([(name, toml::Value::Boolean(true))]));
        let setting = named.into_iter().next().expect("one setting").0;
        if let Some((_, reason)) = FIXED.iter().find(|(name, _)| *name == setting) {
            return Err(format!("{setting} cannot vary: {reason}"));
        }
        let mut values: Vec<(String, toml::Value)> = Vec::new();
        for text in list.split(',').map(str::trim) {
            if text.is_empty() {
                return Err(format!("a value of {setting} is empty"));
            }
            if text.contains(char::is_control) {
                return Err(format!("a value of {setting} has a line break or another control character"));
            }
            values.push((text.to_string(), value(text)));
        }
        Ok(Self { setting, values })
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.setting, self.values().collect::<Vec<_>>().join(","))
    }
}

/// A value as a recipe would have it. What is no number or truth value is text.
fn value(text: &str) -> toml::Value {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if let Ok(number) = text.parse::<i64>() {
        number.into()
    } else if let Some(number) = text.parse::<f64>().ok().filter(|_| is_number) {
        number.into()
    } else if let Ok(value) = text.parse::<bool>() {
        value.into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn of(text: &str) -> Variation {
        text.parse().unwrap()
    }

    #[test]
    fn values_are_those_of_a_recipe() {
        let beta = of("beta=0,0.5,1e0");
        assert_eq!((beta.setting(), beta.values().collect::<Vec<_>>()), ("beta", vec!["0", "0.5", "1e0"]));
        let betas: Vec<f64> = (0..3).map(|index| Recipe::of_layers([beta.layer(index)]).unwrap().beta).collect();
        assert_eq!(betas, [0.0, 0.5, 1.0]);
        let term = Recipe::of_layers([of("set-term = mean").layer(0)]).unwrap().set_term;
        assert_eq!(term, qare::SetTerm::Mean);
        let floor = Recipe::of_layers([of("similarity_floor=none").layer(0)]).unwrap().similarity_floor;
        assert_eq!(floor.0, qare::SimilarityFloor::None);
    }

    #[test]
    fn aliases_are_the_settings_that_they_stand_for() {
        assert_eq!(["--views=2,4", "K=2", "data-size=64"].map(|text| of(text).setting), ["K", "K", "batch_size"]);
        assert_eq!(of("views=2, 4").to_string(), "K=2,4");
    }

    #[test]
    fn what_cannot_vary_says_why() {
        let error = |text: &str| text.parse::<Variation>().unwrap_err();
        assert!(error("beta").contains("beta=0,0.5,1") && error("=1").contains("name of a setting"));
        assert!(error("beta=1,,2").contains("empty") && error("probe.epochs=1").contains("table"));
        assert!(error("seed=1,2").contains("--seeds") && error("method=simclr").contains("--methods"));
        assert!(error("beta=1\n2").contains("line break") && error("num-workers=1,2").contains("changes no result"));
        assert!(error("gpu=0,1").contains("changes no result") && error("data-dir=a,b").contains("share their images"));
    }
}

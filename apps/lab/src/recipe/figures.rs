//! The figures while it trains, as a setting.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::training::live::LiveFigure;

/// Figures while it trains, each once and in the order of their columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Figures(Vec<LiveFigure>);

impl Figures {
    /// Returns the figures.
    pub fn list(&self) -> &[LiveFigure] {
        &self.0
    }
}

impl Default for Figures {
    /// All but the probe, which is the only one that takes more than a hundredth of a short epoch.
    fn default() -> Self {
        Self(LiveFigure::ALL.into_iter().filter(|figure| *figure != LiveFigure::Probe).collect())
    }
}

impl FromIterator<LiveFigure> for Figures {
    fn from_iter<I: IntoIterator<Item = LiveFigure>>(figures: I) -> Self {
        let chosen: Vec<LiveFigure> = figures.into_iter().collect();
        Self(LiveFigure::ALL.into_iter().filter(|figure| chosen.contains(figure)).collect())
    }
}

impl FromStr for Figures {
    type Err = String;

    /// Parses names with commas between them, `all` or `none`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(LiveFigure::ALL.into_iter().collect()),
            "none" => Ok([].into_iter().collect()),
            names => names.split(',').map(|name| name.trim().parse()).collect(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => f.write_str("none"),
            figures => f.write_str(&figures.iter().map(|figure| figure.as_str()).collect::<Vec<_>>().join(",")),
        }
    }
}

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Figures;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("names of figures, \"all\" or \"none\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Figures, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Figures, A::Error> {
                let mut figures = Vec::new();
                while let Some(figure) = names.next_element::<LiveFigure>()? {
                    figures.push(figure);
                }
                Ok(figures.into_iter().collect())
            }
        }
        deserializer.deserialize_any(Names)
    }
}

/// Deserializes a value or a list of values. Each is in the result once.
pub(super) fn one_or_several<'de, D: Deserializer<'de>, T: Deserialize<'de> + FromStr<Err = String> + PartialEq>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Several<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de> + FromStr<Err = String> + PartialEq> Visitor<'de> for Several<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a name or a list of names")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![text.parse().map_err(E::custom)?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Vec<T>, A::Error> {
            let mut several = Vec::new();
            while let Some(one) = names.next_element::<T>()? {
                if !several.contains(&one) {
                    several.push(one);
                }
            }
            Ok(several)
        }
    }
    deserializer.deserialize_any(Several(PhantomData))
}

#[cfg(test)]
mod tests {
    use crate::loggers::LoggerName;
    use crate::recipe::Recipe;
    use crate::training::live::LiveFigure;

    #[test]
    fn figures_are_a_list_or_a_word() {
        let of = |text: &str| Recipe::parse(text).map(|recipe| recipe.figures.list().to_vec());
        assert_eq!(
            of("figures = [\"probe\", \"rankme\", \"probe\"]").unwrap(),
            [LiveFigure::RankMe, LiveFigure::Probe]
        );
        assert_eq!(of("figures = \"alignment,uniformity\"").unwrap(), [LiveFigure::Alignment, LiveFigure::Uniformity]);
        assert_eq!(of("figures = \"all\"").unwrap(), LiveFigure::ALL);
        assert!(of("figures = \"none\"").unwrap().is_empty() && of("figures = []").unwrap().is_empty());
        assert!(!of("").unwrap().contains(&LiveFigure::Probe));
        assert!(of("figures = [\"rang\"]").unwrap_err().contains("rankme"));
        assert!(of("figures = 3").unwrap_err().contains("names of figures"));
    }

    #[test]
    fn loggers_are_a_list_or_a_word() {
        let of = |text: &str| Recipe::parse(text).map(|recipe| recipe.logger);
        assert_eq!(of("logger = \"jsonl\"").unwrap(), [LoggerName::JsonLines]);
        let both = of("logger = [\"tensorboard\", \"jsonl\", \"jsonl\"]").unwrap();
        assert_eq!(both, [LoggerName::Tensorboard, LoggerName::JsonLines]);
        assert!(of("logger = \"wandb\"").unwrap_err().contains("tensorboard"));
    }

    #[test]
    fn they_survive_the_run_folder_and_do_not_prevent_resuming() {
        let chosen = Recipe::parse("figures = \"none\"\nlogger = \"jsonl\"").unwrap();
        assert_eq!(Recipe::parse(&chosen.to_toml()).unwrap(), chosen);
        assert!(chosen.differences(&Recipe::default()).is_empty());
    }
}

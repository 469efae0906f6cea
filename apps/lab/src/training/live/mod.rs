//! Figures while it trains: what the representation looks like, from the embeddings of some steps.
//!
//! Every [`EVERY`]th step of an epoch is a sample, the first one included. The embeddings of a sample are those that its loss was computed
//! from, so nothing is computed twice and no random number is drawn: weights are the same with and without figures.

mod collapse;
mod gradient_norm;
mod probe;
mod representation;
mod sample;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use collapse::{COLLAPSED, LEAST_DIMENSIONS};
pub use representation::{alignment, dead_dimensions, rank_me, uniformity, unit_rows};

pub(super) use collapse::CollapseWarning;
pub(super) use gradient_norm::gradient_norm;
pub(super) use probe::probe_accuracy;
pub(super) use sample::Sample;

use crate::methods::Figure;
use crate::nearest_name::advice;
use crate::recipe::shortened;

/// One step in this number is a sample.
pub const EVERY: usize = 16;

/// A figure while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LiveFigure {
    /// RankMe of the embeddings: [`rank_me`].
    RankMe,
    /// Alignment of positive pairs: [`alignment`].
    Alignment,
    /// Uniformity of the embeddings: [`uniformity`].
    Uniformity,
    /// Share of dimensions that hardly vary, in percent: [`dead_dimensions`].
    DeadDimensions,
    /// Euclidean norm of the gradient of all weights.
    GradientNorm,
    /// Accuracy of a linear classifier in percent, fitted after each epoch to the features that the kNN accuracy is computed from.
    Probe,
}

impl LiveFigure {
    /// All figures, in the order of their columns.
    pub const ALL: [Self; 6] =
        [Self::RankMe, Self::Alignment, Self::Uniformity, Self::DeadDimensions, Self::GradientNorm, Self::Probe];

    /// Returns the name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RankMe => "rankme",
            Self::Alignment => "alignment",
            Self::Uniformity => "uniformity",
            Self::DeadDimensions => "dead_dimensions",
            Self::GradientNorm => "gradient_norm",
            Self::Probe => "probe",
        }
    }

    /// Returns name and format in dashboard and log.
    pub fn figure(self) -> Figure {
        let (name, unit, precision, higher_is_better) = match self {
            Self::RankMe => ("RankMe", None, 1, true),
            Self::Alignment => ("Alignment", None, 3, false),
            Self::Uniformity => ("Uniformity", None, 3, false),
            Self::DeadDimensions => ("Dead dimensions", Some("%"), 1, false),
            Self::GradientNorm => ("Gradient norm", None, 3, false),
            Self::Probe => ("Probe accuracy", Some("%"), 2, true),
        };
        Figure { name, unit, precision, higher_is_better }
    }

    /// Whether the figure comes from steps; otherwise it is computed after an epoch.
    pub fn is_of_steps(self) -> bool {
        self != Self::Probe
    }
}

impl fmt::Display for LiveFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LiveFigure {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|figure| figure.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str);
            format!("unknown figure `{}`{}", shortened(name), advice(name, &known))
        })
    }
}

impl TryFrom<String> for LiveFigure {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<LiveFigure> for String {
    fn from(figure: LiveFigure) -> String {
        figure.to_string()
    }
}

/// Values of figures. A figure without a value is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveValues(Vec<(LiveFigure, f64)>);

impl LiveValues {
    /// Adds a value, unless it is NaN or infinite.
    pub fn insert(&mut self, figure: LiveFigure, value: f64) {
        if value.is_finite() {
            self.0.push((figure, value));
        }
    }

    /// Returns the value of a figure.
    pub fn get(&self, figure: LiveFigure) -> Option<f64> {
        self.0.iter().find(|(other, _)| *other == figure).map(|(_, value)| *value)
    }

    /// Returns figures and values.
    pub fn iter(&self) -> impl Iterator<Item = (LiveFigure, f64)> {
        self.0.iter().copied()
    }
}

/// Means of values over the samples of an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveMeans(Vec<(LiveFigure, f64, usize)>);

impl LiveMeans {
    /// Adds the values of a sample.
    pub fn add(&mut self, values: &LiveValues) {
        for (figure, value) in values.iter() {
            match self.0.iter_mut().find(|(other, ..)| *other == figure) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1),
                None => self.0.push((figure, value, 1)),
            }
        }
    }

    /// Returns the means.
    pub fn means(&self) -> LiveValues {
        LiveValues(self.0.iter().map(|(figure, sum, count)| (*figure, sum / *count as f64)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for figure in LiveFigure::ALL {
            assert_eq!(figure.as_str().parse(), Ok(figure));
        }
        assert!("rank".parse::<LiveFigure>().unwrap_err().contains("rankme"));
    }

    #[test]
    fn means_are_over_the_samples_that_have_a_value() {
        let of = |values: &[(LiveFigure, f64)]| {
            let mut live = LiveValues::default();
            values.iter().for_each(|(figure, value)| live.insert(*figure, *value));
            live
        };
        let mut means = LiveMeans::default();
        means.add(&of(&[(LiveFigure::RankMe, 3.0), (LiveFigure::GradientNorm, f64::NAN)]));
        means.add(&of(&[(LiveFigure::RankMe, 5.0), (LiveFigure::GradientNorm, 2.0)]));
        means.add(&of(&[]));
        let means = means.means();
        assert_eq!(means.get(LiveFigure::RankMe), Some(4.0));
        assert_eq!(means.get(LiveFigure::GradientNorm), Some(2.0));
        assert_eq!(means.get(LiveFigure::Alignment), None);
    }
}

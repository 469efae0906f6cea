//! What has been measured, under names that other programs' figures share.

use serde::{Deserialize, Serialize};

use crate::output::say;

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The same for the same work of any program: `step.conv4.B256.sparseclr_qare`.
    pub key: String,
    pub label: String,
    pub unit: Unit,
    pub min: f64,
    pub median: f64,
    pub runs: usize,
    /// For times: what takes that long, if its rate is of interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "")]
    Number,
}

impl Unit {
    /// A value as a person reads it.
    pub fn told(self, value: f64) -> String {
        match self {
            Unit::Seconds if value >= 1.0 => format!("{value:.2} s"),
            Unit::Seconds if value >= 1e-3 => format!("{:.2} ms", value * 1e3),
            Unit::Seconds => format!("{:.2} µs", value * 1e6),
            Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Percent => format!("{value:.1} %"),
            Unit::Number => format!("{value:.2}"),
        }
    }
}

impl Figure {
    /// How many a second, where that is of interest.
    pub fn rate(&self) -> Option<String> {
        let per = self.per.as_ref().filter(|_| self.median > 0.0)?;
        let rate = 1.0 / self.median;
        Some(if rate < 100.0 { format!("{rate:.1} {per}/s") } else { format!("{rate:.0} {per}/s") })
    }
}

/// Collects figures, and prints each as it comes.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Times of runs, each of which does a piece of work `amount` times.
    pub fn seconds(&mut self, key: String, label: String, runs: &[f64], amount: usize, per: Option<&str>) -> f64 {
        let each: Vec<f64> = runs.iter().map(|seconds| seconds / amount as f64).collect();
        let (min, runs) = (each.iter().copied().fold(f64::INFINITY, f64::min), each.len());
        let (median, per) = (median(each), per.map(str::to_owned));
        self.add(Figure { key, label, unit: Unit::Seconds, min, median, runs, per });
        median
    }

    /// A number that is no time.
    pub fn number(&mut self, key: String, label: String, unit: Unit, value: f64) {
        self.add(Figure { key, label, unit, min: value, median: value, runs: 1, per: None });
    }

    fn add(&mut self, figure: Figure) {
        let Figure { label, unit, min, median, runs, .. } = &figure;
        let rate = figure.rate().unwrap_or_default();
        let spread = match unit {
            Unit::Seconds if *runs > 1 => format!("min {}, {runs} runs", unit.told(*min)),
            _ => String::new(),
        };
        say(format!("{label:<62}{:>12}{rate:>18}   {spread}", unit.told(*median)).trim_end());
        self.0.push(figure);
    }

    /// All figures since the last call.
    pub fn take(&mut self) -> Vec<Figure> {
        std::mem::take(&mut self.0)
    }
}

/// The middle one of some numbers, or the mean of the two in the middle.
///
/// # Panics
/// If there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_run_for_a_piece_of_work() {
        let mut figures = Figures::default();
        let median = figures.seconds("a".into(), "a".into(), &[8.0, 2.0, 4.0], 2, Some("views"));
        assert_eq!(median, 2.0);
        figures.seconds("b".into(), "b".into(), &[1.0, 3.0], 1, None);
        let taken = figures.take();
        assert_eq!((taken[0].min, taken[0].runs, taken[0].rate()), (1.0, 3, Some("0.5 views/s".into())));
        assert_eq!((taken[1].median, taken[1].rate()), (2.0, None));
        assert!(figures.take().is_empty());
    }

    #[test]
    fn values_are_told_in_the_unit_that_suits_them() {
        let told: Vec<String> = [12.5, 0.0125, 12.5e-6].into_iter().map(|value| Unit::Seconds.told(value)).collect();
        assert_eq!(told, ["12.50 s", "12.50 ms", "12.50 µs"]);
        assert_eq!(Unit::Bytes.told(1_572_864.0), "1.5 MiB");
        assert_eq!(Unit::Percent.told(4.04), "4.0 %");
    }
}

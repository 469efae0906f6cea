//! Measured figures. Their keys are the same in every program that does the same work.

use serde::{Deserialize, Serialize};

use crate::output::print_line;

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Names the work, such as `step.conv4.B256.sparseclr_qare`; the same in every program.
    pub key: String,
    pub label: String,
    pub unit: Unit,
    pub min: f64,
    pub median: f64,
    pub runs: usize,
    /// For times: the unit of work that takes this long, if its rate is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
}

/// The unit of a figure.
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
    /// Formats a value with its unit.
    pub fn format(self, value: f64) -> String {
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
    /// The part of the benchmark that the figure belongs to.
    pub fn part(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }

    /// Takes over median and minimum of the same time or memory measured earlier, where they are less.
    pub fn take_less(&mut self, earlier: &Self) {
        if self.unit == earlier.unit && matches!(self.unit, Unit::Seconds | Unit::Bytes) {
            if earlier.median < self.median {
                (self.median, self.runs) = (earlier.median, earlier.runs);
            }
            self.min = self.min.min(earlier.min);
        }
    }

    /// Formats the units of work a second, if the figure has such a unit.
    pub fn rate(&self) -> Option<String> {
        let per = self.per.as_ref().filter(|_| self.median > 0.0)?;
        let rate = 1.0 / self.median;
        Some(if rate < 100.0 { format!("{rate:.1} {per}/s") } else { format!("{rate:.0} {per}/s") })
    }
}

/// Collects figures and prints each one.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds the times of runs that do `amount` units of work each. Returns the median time of one unit.
    pub fn seconds(&mut self, key: String, label: String, runs: &[f64], amount: usize, per: Option<&str>) -> f64 {
        let each: Vec<f64> = runs.iter().map(|seconds| seconds / amount as f64).collect();
        let (min, runs) = (each.iter().copied().fold(f64::INFINITY, f64::min), each.len());
        let (median, per) = (median(each), per.map(str::to_owned));
        self.add(Figure { key, label, unit: Unit::Seconds, min, median, runs, per });
        median
    }

    /// Adds a single value.
    pub fn number(&mut self, key: String, label: String, unit: Unit, value: f64) {
        self.add(Figure { key, label, unit, min: value, median: value, runs: 1, per: None });
    }

    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        let Figure { label, unit, min, median, runs, .. } = &figure;
        let rate = figure.rate().unwrap_or_default();
        let spread = match unit {
            Unit::Seconds if *runs > 1 => format!("min {}, {runs} runs", unit.format(*min)),
            _ => String::new(),
        };
        print_line(format!("{label:<62}{:>12}{rate:>18}   {spread}", unit.format(*median)).trim_end());
        self.0.push(figure);
    }

    /// Returns all figures since the last call.
    pub fn take(&mut self) -> Vec<Figure> {
        std::mem::take(&mut self.0)
    }
}

/// The median: the middle value, or the mean of the two middle ones.
///
/// # Panics
/// If there are no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_run_divided_by_the_amount_of_work() {
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
    fn values_are_formatted_in_a_suitable_unit() {
        let times: Vec<String> = [12.5, 0.0125, 12.5e-6].into_iter().map(|value| Unit::Seconds.format(value)).collect();
        assert_eq!(times, ["12.50 s", "12.50 ms", "12.50 µs"]);
        assert_eq!(Unit::Bytes.format(1_572_864.0), "1.5 MiB");
        assert_eq!(Unit::Percent.format(4.04), "4.0 %");
    }
}

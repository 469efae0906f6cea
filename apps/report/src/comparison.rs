//! Figures of runs over the values of one setting.

use crate::svg::{Plot, categories};

/// A line of a [`comparison`].
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// For each value of the setting, the figures of the runs with it, such as those of several seeds; empty where there are none.
    pub groups: Vec<Vec<f64>>,
}

/// Plots figures over the values of a setting, which stand at equal distances in their order: a dot for each figure, and a line through the
/// means of each series. Returns `None` if no figure is finite.
///
/// # Panics
/// If a series has not one group for each value.
pub fn comparison(title: &str, setting: &str, values: &[String], series: &[Series]) -> Option<Plot> {
    assert!(series.iter().all(|series| series.groups.len() == values.len()), "one group for each value");
    categories([title, setting], values, series)
}

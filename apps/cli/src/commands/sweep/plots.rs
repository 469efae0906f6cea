//! Plots of a sweep: each accuracy over the values of the first varied setting.

use qare_lab::sweep_table::SweepTable;
use qare_report::{Plot, Series, comparison};

use super::plan::Planned;

/// Returns a plot of each accuracy over the values of the first variation. Method and other varied settings tell its lines apart.
pub fn plots(table: &SweepTable, planned: &[Planned]) -> Vec<Plot> {
    let Some(setting) = table.varied().first() else { return Vec::new() };
    let mut values: Vec<String> = Vec::new();
    for value in planned.iter().filter_map(|run| run.values[0].as_ref()) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    let of_figure = |(accuracy, figure): (&str, usize)| {
        let lines: Vec<Series> =
            table.lines(figure, &values).into_iter().map(|(name, groups)| Series { name, groups }).collect();
        let mut plot = comparison(&format!("{accuracy}, percent"), setting, &values, &lines)?;
        plot.name = accuracy.to_lowercase().replace([' ', '@'], "_");
        Some(plot)
    };
    table.accuracies().zip(0..).filter_map(of_figure).collect()
}

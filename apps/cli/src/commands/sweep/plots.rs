//! Plots of a sweep: each accuracy over the values of the first varied setting.

use qare_lab::sweep_table::SweepTable;
use qare_report::{Plot, Series, comparison};

use super::plan::{Planned, without_repeats};

/// Returns a plot of each accuracy over the values of the first variation. Method and other varied settings tell its lines apart.
pub fn plots(table: &SweepTable, planned: &[Planned]) -> Vec<Plot> {
    let Some(setting) = table.varied().first() else { return Vec::new() };
    let of_runs: Vec<String> = planned.iter().filter_map(|run| run.values[0].clone()).collect();
    let values = without_repeats(&of_runs);
    let of_figure = |((accuracy, column), figure): ((&str, String), usize)| {
        let lines: Vec<Series> =
            table.lines(figure, &values).into_iter().map(|(name, groups)| Series { name, groups }).collect();
        let mut plot = comparison(&format!("{accuracy}, percent"), setting, &values, &lines)?;
        plot.name = column;
        Some(plot)
    };
    table.accuracies().zip(0..).filter_map(of_figure).collect()
}

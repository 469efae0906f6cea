//! Plots of a sweep: each accuracy over the values of the first varied setting.

use qare_lab::recipe::Variation;
use qare_lab::sweep_table::SweepTable;
use qare_report::{Plot, Series, comparison};

/// Returns a plot of each accuracy over the values of the first variation. Method and other varied settings tell its lines apart.
pub fn plot(table: &SweepTable, variations: &[Variation]) -> Vec<Plot> {
    let Some(first) = variations.first() else { return Vec::new() };
    let values: Vec<String> = first.values().map(str::to_string).collect();
    let of_figure = |(accuracy, figure): (&str, usize)| {
        let lines: Vec<Series> =
            table.lines(figure, &values).into_iter().map(|(name, groups)| Series { name, groups }).collect();
        let mut plot = comparison(&format!("{accuracy}, percent"), first.setting(), &values, &lines)?;
        plot.name = accuracy.to_lowercase().replace([' ', '@'], "_");
        Some(plot)
    };
    table.accuracies().zip(0..).filter_map(of_figure).collect()
}

//! Learning curves: a plot for each column of the logs.

use std::collections::BTreeMap;

use super::Page;
use crate::groups::Group;
use crate::number::mean_and_deviation;
use crate::report::Run;
use crate::svg::{Axes, Line, Plot, lines};

/// Adds the plots.
pub(super) fn curves(page: &mut Page, runs: &[Run], groups: &[Group]) {
    let plots = plots(runs, groups);
    if plots.is_empty() {
        return;
    }
    page.section("Learning curves");
    let several = groups.iter().any(|group| group.runs.len() > 1);
    if several {
        page.html(
            "<p class=\"soft\">Thick lines are means over the seeds, bands reach one standard deviation to both sides, and thin lines are \
             the runs.</p>\n",
        );
    }
    page.html("<div class=\"plots\">\n");
    for plot in &plots {
        page.plot(plot, "curve", |_| String::new());
    }
    page.html("</div>\n");
}

/// Returns a plot for each column that has values.
pub(super) fn plots(runs: &[Run], groups: &[Group]) -> Vec<Plot> {
    let mut columns: Vec<&String> = Vec::new();
    for name in runs.iter().flat_map(|run| run.columns.iter().skip(1)) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let label = runs.iter().find_map(|run| run.columns.first()).map_or("epoch", String::as_str);
    let plot = |column: &&String| {
        let data: Vec<Line> = groups.iter().map(|group| line(runs, group, column)).collect();
        lines(Axes { title: column, x: label, log: false }, &data)
    };
    columns.iter().filter_map(plot).collect()
}

/// Returns the line of a column over the runs of a group.
fn line(runs: &[Run], group: &Group, column: &str) -> Line {
    let values = |run: &usize| -> Vec<(f64, f64)> {
        let run = &runs[*run];
        let Some(place) = run.columns.iter().position(|name| name == column) else { return Vec::new() };
        run.rows.iter().filter_map(|row| Some((row[0]?, row[place]?))).collect()
    };
    let mut parts: Vec<Vec<(f64, f64)>> = group.runs.iter().map(values).collect();
    parts.retain(|part| !part.is_empty());
    if parts.len() < 2 {
        return Line { name: group.name.clone(), points: parts.pop().unwrap_or_default(), ..Default::default() };
    }
    // Epochs are whole numbers, so their bits order and identify them.
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (x, y) in parts.iter().flatten().filter(|point| point.1.is_finite()) {
        at.entry(x.to_bits()).or_default().push(*y);
    }
    let means = at.iter().filter_map(|(x, values)| Some((f64::from_bits(*x), mean_and_deviation(values)?)));
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for (x, (mean, deviation)) in means {
        points.push((x, mean));
        if let Some(deviation) = deviation {
            band.push((x, mean - deviation, mean + deviation));
        }
    }
    Line { name: group.name.clone(), points, band, parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::groups;

    #[test]
    fn lines_are_means_over_seeds_with_a_band() {
        let run = |values: &[f64]| Run {
            columns: vec!["epoch".into(), "loss".into()],
            rows: values.iter().enumerate().map(|(epoch, loss)| vec![Some(1.0 + epoch as f64), Some(*loss)]).collect(),
            ..Default::default()
        };
        // The second run is one epoch longer.
        let runs = [run(&[1.0, 2.0]), run(&[3.0, 2.0, 7.0])];
        let groups = groups(&runs);
        let found = line(&runs, &groups[0], "loss");
        assert_eq!(found.points, [(1.0, 2.0), (2.0, 2.0), (3.0, 7.0)]);
        let deviation = 2f64.sqrt();
        assert_eq!(found.band, [(1.0, 2.0 - deviation, 2.0 + deviation), (2.0, 2.0, 2.0)]);
        assert_eq!(found.parts.len(), 2);
        assert_eq!(plots(&runs, &groups).len(), 1);
        assert!(line(&runs, &groups[0], "none").points.is_empty());
    }
}

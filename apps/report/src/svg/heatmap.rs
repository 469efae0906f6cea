//! Confusion matrices.

use serde_json::json;

use super::{Plot, slug};
use crate::analysis::Confusion;
use crate::escape::{escape, shortened};
use crate::number::place;

const SIDE: f64 = 460.0;
const LEFT: f64 = 130.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 112.0;
/// Shades of cells.
const SHADES: usize = 20;
/// Most classes whose cells have numbers, and whose rows have names.
const NUMBERED: usize = 20;
const NAMED: usize = 40;

/// Draws a confusion matrix: the share of the images of each true class (row) that are taken for each class (column).
pub(crate) fn heatmap(title: &str, matrix: &Confusion, names: &[String]) -> Plot {
    let classes = matrix.classes.max(1);
    let cell = SIDE / classes as f64;
    let corner = |row: usize, column: usize| (LEFT + cell * column as f64, TOP + cell * row as f64);
    let share = |row: usize, column: usize| {
        let total = matrix.total(row);
        if total == 0 { 0.0 } else { f64::from(matrix.counts[row * classes + column]) / f64::from(total) }
    };
    let mut body = format!("<text class=\"name\" x=\"8\" y=\"20\">{}</text>", escape(title));
    // One path for each shade: a fraction of the bytes of one element for each cell.
    for shade in 1..=SHADES {
        let mut path = String::new();
        for (row, column) in (0..matrix.classes).flat_map(|row| (0..matrix.classes).map(move |column| (row, column))) {
            if (share(row, column) * SHADES as f64).round() as usize == shade {
                let (x, y) = corner(row, column);
                let width = format!("{cell:.2}");
                path += &format!("M{} {}h{width}v{width}h-{width}z", place(x), place(y));
            }
        }
        if !path.is_empty() {
            let opacity = shade as f64 / SHADES as f64;
            body += &format!("<path class=\"heat\" fill-opacity=\"{opacity:.2}\" d=\"{path}\"/>");
        }
    }
    body += &format!("<rect class=\"axis\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\"/>");
    if classes <= NUMBERED {
        for (row, column) in (0..matrix.classes).flat_map(|row| (0..matrix.classes).map(move |column| (row, column))) {
            let percent = 100.0 * share(row, column);
            if percent >= 0.5 {
                let (x, y) = corner(row, column);
                let on = if percent > 50.0 { "onheat" } else { "strong" };
                body += &format!(
                    "<text class=\"cell {on}\" x=\"{}\" y=\"{}\" dy=\".35em\">{percent:.0}</text>",
                    place(x + cell / 2.0),
                    place(y + cell / 2.0)
                );
            }
        }
    }
    if classes <= NAMED {
        for (class, name) in names.iter().enumerate().take(matrix.classes) {
            let name = escape(&shortened(name, 16));
            let (x, y) = corner(class, class);
            let middle = place(y + cell / 2.0);
            body += &format!("<text class=\"end\" x=\"{}\" y=\"{middle}\" dy=\".35em\">{name}</text>", LEFT - 6.0);
            let (x, y) = (place(x + cell / 2.0 + 4.0), TOP + SIDE + 8.0);
            body +=
                &format!("<text class=\"end\" transform=\"translate({x} {y}) rotate(-45)\" dy=\".35em\">{name}</text>");
        }
    }
    let foot = TOP + SIDE + BOTTOM - 8.0;
    body += &format!(
        "<text class=\"mid\" x=\"{}\" y=\"{foot}\">predicted class (rows: true class, in percent)</text>",
        LEFT + SIDE / 2.0
    );
    let confused = matrix.most_confused(5);
    let name = |class: usize| names.get(class).map_or("?", String::as_str);
    let confused: Vec<String> = confused
        .iter()
        .map(|(label, found, count)| format!("{} taken for {} {count} times", name(*label), name(*found)))
        .collect();
    Plot {
        name: slug(title),
        title: title.to_string(),
        description: format!(
            "{title}: {:.1} % are right. Most frequent errors: {}.",
            100.0 * matrix.accuracy(),
            confused.join("; ")
        ),
        width: LEFT + SIDE + 14.0,
        height: TOP + SIDE + BOTTOM,
        body,
        hover: json!({
            "kind": "matrix",
            "box": [LEFT, TOP, LEFT + SIDE, TOP + SIDE],
            "classes": matrix.classes,
            "counts": matrix.counts,
            "names": names,
        }),
    }
}

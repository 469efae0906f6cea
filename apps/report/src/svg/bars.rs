//! Horizontal bars.

use serde_json::Value;

use super::{Plot, slug};
use crate::escape::{escape, shortened};
use crate::number::place;

const WIDTH: f64 = 560.0;
const LEFT: f64 = 150.0;
const ROW: f64 = 20.0;
const TOP: f64 = 34.0;

/// A bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub name: String,
    /// From 0 to 100.
    pub percent: f64,
}

/// Draws bars from 0 to 100 %, one below the other.
pub(crate) fn bars(title: &str, data: &[Bar]) -> Plot {
    let height = TOP + ROW * data.len() as f64 + 26.0;
    let at = |percent: f64| LEFT + (WIDTH - LEFT - 60.0) * percent.clamp(0.0, 100.0) / 100.0;
    let mut body = format!("<text class=\"name\" x=\"8\" y=\"20\">{}</text>", escape(title));
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let x = place(at(percent));
        body += &format!("<path class=\"grid\" d=\"M{x} {TOP}V{}\"/>", height - 22.0);
        body += &format!("<text class=\"mid\" x=\"{x}\" y=\"{}\">{percent} %</text>", height - 6.0);
    }
    for (number, bar) in data.iter().enumerate() {
        let top = TOP + ROW * number as f64;
        let middle = top + ROW / 2.0;
        let name = escape(&shortened(&bar.name, 20));
        body += &format!("<text class=\"end strong\" x=\"{}\" y=\"{middle}\" dy=\".35em\">{name}</text>", LEFT - 8.0);
        let width = place(at(bar.percent) - LEFT);
        body += &format!(
            "<rect class=\"bar\" x=\"{LEFT}\" y=\"{}\" width=\"{width}\" height=\"{}\"/>",
            top + 3.0,
            ROW - 6.0
        );
        let x = place(at(bar.percent) + 6.0);
        body += &format!("<text x=\"{x}\" y=\"{middle}\" dy=\".35em\">{:.1}</text>", bar.percent);
    }
    let values: Vec<String> = data.iter().take(20).map(|bar| format!("{} {:.1} %", bar.name, bar.percent)).collect();
    Plot {
        name: slug(title),
        title: title.to_string(),
        description: format!("{title}: {}.", values.join("; ")),
        width: WIDTH,
        height,
        body,
        hover: Value::Null,
    }
}

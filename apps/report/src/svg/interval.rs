//! Values on a common axis, each on a line of its own.

use serde_json::Value;

use super::axis::Scale;
use super::{COLORS, Plot, slug};
use crate::escape::escape;
use crate::number::{place, short};

const WIDTH: f64 = 560.0;
const LEFT: f64 = 250.0;
const ROW: f64 = 24.0;
const TOP: f64 = 34.0;

/// A value and its name.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub name: String,
    pub value: f64,
    /// Which of the colours it has.
    pub color: usize,
}

/// Draws values as dots above a common axis.
pub(crate) fn interval(title: &str, data: &[Mark]) -> Plot {
    let height = TOP + ROW * data.len() as f64 + 26.0;
    let scale = Scale::over(data.iter().map(|mark| mark.value), false, 0.06, LEFT, WIDTH - 70.0);
    let mut body = format!("<text class=\"name\" x=\"8\" y=\"20\">{}</text>", escape(title));
    for (value, label) in scale.ticks(4) {
        let x = place(scale.place(value));
        body += &format!("<path class=\"grid\" d=\"M{x} {TOP}V{}\"/>", height - 22.0);
        body += &format!("<text class=\"mid\" x=\"{x}\" y=\"{}\">{label}</text>", height - 6.0);
    }
    for (number, mark) in data.iter().enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        let (x, color) = (place(scale.place(mark.value)), mark.color % COLORS);
        body += &format!(
            "<text class=\"end strong\" x=\"{}\" y=\"{middle}\" dy=\".35em\">{}</text>\
             <path class=\"axis\" d=\"M{LEFT} {middle}H{x}\" stroke-dasharray=\"1 3\"/>\
             <circle class=\"f{color}\" cx=\"{x}\" cy=\"{middle}\" r=\"5\"/>\
             <text x=\"{}\" y=\"{middle}\" dy=\".35em\">{}</text>",
            LEFT - 10.0,
            escape(&mark.name),
            place(scale.place(mark.value) + 9.0),
            short(mark.value)
        );
    }
    let values: Vec<String> = data.iter().map(|mark| format!("{} {}", mark.name, short(mark.value))).collect();
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

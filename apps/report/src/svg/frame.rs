//! What plots of lines share: their size, the axes around them, and the names below.

use super::COLORS;
use super::axis::Scale;
use crate::escape::{escape, shortened};
use crate::number::place;

pub(super) const WIDTH: f64 = 560.0;
pub(super) const HEIGHT: f64 = 320.0;
pub(super) const LEFT: f64 = 62.0;
pub(super) const RIGHT: f64 = 14.0;
pub(super) const TOP: f64 = 34.0;
pub(super) const BOTTOM: f64 = 44.0;
/// Height of a row of names.
pub(super) const ROW: f64 = 18.0;
const DASHES: [&str; 4] = ["", "8 4", "2 4", "10 3 2 3"];

/// The attribute that tells a line from others of its colour.
pub(super) fn dash(number: usize) -> String {
    let dash = dashes(number);
    if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") }
}

fn dashes(number: usize) -> &'static str {
    DASHES[(number + number / COLORS) % DASHES.len()]
}

/// Title, grid, ticks and the name of the horizontal axis, whose ticks are places with labels.
pub(super) fn frame([title, name]: [&str; 2], ticks: impl Iterator<Item = (f64, String)>, y: &Scale) -> String {
    let mut body = format!("<text class=\"name\" x=\"{LEFT}\" y=\"20\">{}</text>", escape(title));
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (value, label) in y.ticks(5) {
        let at = place(y.place(value));
        body += &format!("<path class=\"grid\" d=\"M{LEFT} {at}H{right}\"/>");
        body += &format!("<text class=\"end\" x=\"{}\" y=\"{at}\" dy=\".35em\">{label}</text>", LEFT - 8.0);
    }
    for (at, label) in ticks {
        let at = place(at);
        body += &format!("<path class=\"axis\" d=\"M{at} {bottom}v4\"/>");
        body += &format!("<text class=\"mid\" x=\"{at}\" y=\"{}\">{}</text>", bottom + 18.0, escape(&label));
    }
    body += &format!("<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>");
    let middle = place((LEFT + right) / 2.0);
    body + &format!("<text class=\"mid\" x=\"{middle}\" y=\"{}\">{}</text>", HEIGHT - 8.0, escape(name))
}

/// Names the lines below the plot, and returns the number of rows.
pub(super) fn legend<'a>(names: impl Iterator<Item = &'a str>) -> (String, usize) {
    let (mut body, mut left, mut row) = (String::new(), LEFT, 0);
    for (number, name) in names.enumerate() {
        let name = shortened(name, 60);
        // A letter is about 6.6 pixels wide.
        let width = 44.0 + 6.6 * name.chars().count() as f64;
        if left + width > WIDTH && left > LEFT {
            (left, row) = (LEFT, row + 1);
        }
        let (x, y) = (place(left), place(HEIGHT + 8.0 + ROW * row as f64));
        body += &format!(
            "<path class=\"line s{}\" stroke-dasharray=\"{}\" d=\"M{x} {y}h26\"/>\
             <text class=\"strong\" x=\"{}\" y=\"{y}\" dy=\".35em\">{}</text>",
            number % COLORS,
            dashes(number),
            place(left + 32.0),
            escape(&name)
        );
        left += width;
    }
    (body, row + 1)
}

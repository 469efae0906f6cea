//! Lines over a common axis, with bands.

use serde_json::{Value, json};

use super::axis::Scale;
use super::frame::{BOTTOM, HEIGHT, LEFT, RIGHT, ROW, TOP, WIDTH, dash, frame, legend};
use super::{COLORS, Plot, slug};
use crate::number::{place, rounded, short};

/// Most points of a line; longer ones are thinned.
const MAX_POINTS: usize = 500;

/// What the axes mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes<'a> {
    pub title: &'a str,
    pub x: &'a str,
    /// Whether the values are on a logarithmic scale.
    pub log: bool,
}

/// A line, with the band around it, and thin lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub name: String,
    /// Pairs (x, y), ascending in x. Others than finite y are left out.
    pub points: Vec<(f64, f64)>,
    /// Triples (x, lower, upper).
    pub band: Vec<(f64, f64, f64)>,
    /// Lines of the parts that the line is the mean of.
    pub parts: Vec<Vec<(f64, f64)>>,
}

/// Draws lines; `None` if there is no finite point.
pub(crate) fn lines(axes: Axes, data: &[Line]) -> Option<Plot> {
    let all = data.iter().flat_map(|line| {
        let bands = line.band.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]);
        line.points.iter().copied().chain(line.parts.iter().flatten().copied()).chain(bands)
    });
    let shown = all.filter(|(x, y)| x.is_finite() && y.is_finite());
    shown.clone().next()?;
    let x = Scale::over(shown.clone().map(|point| point.0), false, 0.0, LEFT, WIDTH - RIGHT);
    let y = Scale::over(shown.map(|point| point.1), axes.log, 0.05, HEIGHT - BOTTOM, TOP);
    let mut body = frame([axes.title, axes.x], ticks(&x), &y);
    body += &format!(
        "<clipPath id=\"clip-{0}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{1}\" height=\"{2}\"/></clipPath><g clip-path=\"url(#clip-{0})\">",
        slug(axes.title),
        WIDTH - LEFT - RIGHT,
        HEIGHT - TOP - BOTTOM
    );
    let mut hover = Vec::new();
    for (number, line) in data.iter().enumerate() {
        let color = number % COLORS;
        let dash = dash(number);
        if !line.band.is_empty() {
            let band = thinned(&line.band);
            let upper = band.iter().map(|(at, _, high)| (*at, *high));
            let lower = band.iter().rev().map(|(at, low, _)| (*at, *low));
            body += &format!("<path class=\"band f{color}\" d=\"{}Z\"/>", path(upper.chain(lower), &x, &y));
        }
        for part in &line.parts {
            let part = thinned(part);
            body += &format!("<path class=\"line faint s{color}\" d=\"{}\"/>", path(part.into_iter(), &x, &y));
        }
        let points: Vec<(f64, f64)> = thinned(&line.points).into_iter().filter(|point| point.1.is_finite()).collect();
        body += &format!("<path class=\"line s{color}\"{dash} d=\"{}\"/>", path(points.iter().copied(), &x, &y));
        if let [(at, value)] = points[..] {
            let (at, value) = (place(x.place(at)), place(y.place(value)));
            body += &format!("<circle class=\"f{color}\" cx=\"{at}\" cy=\"{value}\" r=\"4\"/>");
        }
        let bounds = |index: usize| -> Value {
            let find = |at: f64| line.band.iter().find(|band| band.0 == at);
            let bound = |at: f64| find(at).map(|band| rounded(if index == 0 { band.1 } else { band.2 }));
            if line.band.is_empty() {
                Value::Null
            } else {
                json!(points.iter().map(|point| bound(point.0)).collect::<Vec<_>>())
            }
        };
        hover.push(json!({
            "name": line.name,
            "x": points.iter().map(|point| rounded(point.0)).collect::<Vec<_>>(),
            "y": points.iter().map(|point| rounded(point.1)).collect::<Vec<_>>(),
            "lo": bounds(0),
            "hi": bounds(1),
        }));
    }
    body += "</g>";
    let names = data.iter().map(|line| line.name.as_str());
    let (names, rows) = if data.len() > 1 { legend(names) } else { (String::new(), 0) };
    body += &names;
    let ends = data.iter().filter_map(|line| Some(format!("{} ends at {}", line.name, short(line.points.last()?.1))));
    Some(Plot {
        name: slug(axes.title),
        title: axes.title.to_string(),
        description: format!("{} over {}: {}.", axes.title, axes.x, ends.take(12).collect::<Vec<_>>().join("; ")),
        width: WIDTH,
        height: HEIGHT + ROW * rows as f64,
        body,
        hover: json!({
            "kind": "lines",
            "box": [LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM],
            "x": [x.low, x.high],
            "y": [y.low, y.high],
            "log": y.log,
            "label": axes.x,
            "lines": hover,
        }),
    })
}

/// Ticks of the horizontal axis.
fn ticks(x: &Scale) -> impl Iterator<Item = (f64, String)> {
    let all = x.ticks(8).into_iter();
    all.filter(|(value, _)| value.fract().abs() < 1e-9 || x.high - x.low < 1.0)
        .map(|(value, label)| (x.place(value), label))
}

fn path(points: impl Iterator<Item = (f64, f64)>, x: &Scale, y: &Scale) -> String {
    let mut text = String::new();
    for (at, value) in points.filter(|(_, value)| value.is_finite()) {
        text.push(if text.is_empty() { 'M' } else { 'L' });
        text += &format!("{} {}", place(x.place(at)), place(y.place(value)));
    }
    text
}

/// Keeps at most [`MAX_POINTS`] items at equal distances, and the last.
fn thinned<T: Clone>(items: &[T]) -> Vec<T> {
    let step = items.len().div_ceil(MAX_POINTS).max(1);
    let last = items.len().saturating_sub(1);
    items
        .iter()
        .enumerate()
        .filter(|(place, _)| place % step == 0 || *place == last)
        .map(|(_, item)| item.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXES: Axes<'static> = Axes { title: "loss", x: "epoch", log: false };

    #[test]
    fn long_lines_are_thinned_and_keep_their_ends() {
        let items: Vec<usize> = (0..12_345).collect();
        let kept = thinned(&items);
        assert!(kept.len() <= MAX_POINTS + 1 && kept[0] == 0 && kept[kept.len() - 1] == 12_344);
        assert_eq!(thinned(&items[..9]), items[..9]);
    }

    #[test]
    fn values_that_are_not_finite_are_left_out() {
        let line = |points: &[(f64, f64)]| Line { name: "<a>".into(), points: points.to_vec(), ..Default::default() };
        assert!(lines(AXES, &[line(&[(1.0, f64::NAN)])]).is_none() && lines(AXES, &[]).is_none());
        let plot = lines(AXES, &[line(&[(1.0, 2.0), (2.0, f64::INFINITY), (3.0, 1.0)])]).unwrap();
        assert_eq!(plot.hover["lines"][0]["x"], json!([1.0, 3.0]));
        let file = plot.file();
        assert!(
            !file.contains("NaN") && !file.contains("inf") && !file.contains("<a>") && !file.contains("var("),
            "{file}"
        );
        assert!(!file.contains("stroke-dasharray"), "one line needs no legend");
        let two = lines(AXES, &[line(&[(1.0, 20.0), (4.0, 10.0)]), line(&[(1.0, 30.0), (2.0, 10.0)])]).unwrap();
        assert!(two.height > plot.height && two.body.matches("&lt;a&gt;").count() == 2, "{}", two.body);
        assert!(!two.body.contains(">1.5<"), "epochs are whole numbers");
        // A single epoch is a dot.
        assert!(lines(AXES, &[line(&[(1.0, 2.0)])]).unwrap().body.contains("<circle"));
    }
}

//! Points on a plane, coloured by class.

use serde_json::json;

use super::{COLORS, Plot, slug};
use crate::escape::{escape, shortened};

/// The side of the picture. Coordinates are whole numbers, which take few bytes.
const SIDE: f64 = 900.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 36.0;
/// Most classes whose names stand on the map.
const LABELLED: usize = 30;
/// From so many points on, they are drawn smaller.
const MANY: usize = 3000;

/// Points with classes.
#[derive(Clone, Debug)]
pub(crate) struct Cloud<'a> {
    pub points: &'a [[f64; 2]],
    pub labels: &'a [u16],
    pub names: &'a [String],
    /// Which pictures the script shows beside a point.
    pub atlas: Option<usize>,
    /// Text of each point.
    pub texts: Vec<String>,
}

/// Draws the points: one path for each class, in the order of the classes, which the script reads again.
pub(crate) fn scatter(title: &str, cloud: &Cloud) -> Plot {
    let bounds = |axis: usize| {
        let values = cloud.points.iter().map(|point| point[axis]);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        (low, (high - low).max(f64::MIN_POSITIVE))
    };
    let (x, y) = (bounds(0), bounds(1));
    // One scale for both axes: distances have a meaning.
    let extent = x.1.max(y.1);
    let inner = SIDE - 2.0 * MARGIN;
    let at = |point: &[f64; 2]| {
        let horizontal = MARGIN + inner * ((point[0] - x.0) / extent + (1.0 - x.1 / extent) / 2.0);
        let vertical = TOP + MARGIN + inner * (1.0 - (point[1] - y.0) / extent - (1.0 - y.1 / extent) / 2.0);
        (horizontal.round(), vertical.round())
    };
    let small = if cloud.points.len() > MANY { " small" } else { "" };
    let mut body = format!("<text class=\"name\" x=\"12\" y=\"22\">{}</text>", escape(title));
    let mut labels = String::new();
    let mut order = Vec::with_capacity(cloud.points.len());
    for class in 0..cloud.names.len().max(1) {
        let members: Vec<usize> =
            (0..cloud.points.len()).filter(|row| usize::from(cloud.labels[*row]) == class).collect();
        if members.is_empty() {
            continue;
        }
        let places: Vec<(f64, f64)> = members.iter().map(|row| at(&cloud.points[*row])).collect();
        let path: String = places.iter().map(|(x, y)| format!("M{x} {y}h.1")).collect();
        let square = if class / COLORS % 2 == 1 { " square" } else { "" };
        body +=
            &format!("<path class=\"dots s{}{square}{small}\" data-class=\"{class}\" d=\"{path}\"/>", class % COLORS);
        if cloud.names.len() <= LABELLED && cloud.names.len() > 1 {
            let (x, y) = (median(places.iter().map(|place| place.0)), median(places.iter().map(|place| place.1)));
            labels += &format!(
                "<text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>",
                escape(&shortened(&cloud.names[class], 18))
            );
        }
        order.extend(members);
    }
    body += &labels;
    let texts: Vec<&String> = order.iter().filter_map(|row| cloud.texts.get(*row)).collect();
    Plot {
        name: slug(title),
        title: title.to_string(),
        description: format!("{title}: {} points of {} classes.", cloud.points.len(), cloud.names.len().max(1)),
        width: SIDE,
        height: SIDE + TOP,
        body,
        hover: json!({ "kind": "map", "names": cloud.names, "atlas": cloud.atlas, "rows": order, "texts": texts }),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_place_inside() {
        let names = ["a".to_string(), "<b>".to_string()];
        for points in [vec![[0.0, 0.0]], vec![[1.0, 5.0], [-3.0, 7.0], [1.0, 6.0]]] {
            let labels = vec![1; points.len()];
            let cloud = Cloud { points: &points, labels: &labels, names: &names, atlas: None, texts: Vec::new() };
            let plot = scatter("map", &cloud);
            assert_eq!(plot.body.matches("h.1").count(), points.len());
            assert!(plot.body.contains("&lt;b&gt;") && !plot.body.contains("NaN"), "{}", plot.body);
        }
    }
}

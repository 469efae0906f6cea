//! The outlines of the drawn shapes, as signed distances.
//!
//! Every outline lies within the unit circle; x points right, y points down, and distances are negative inside. Sums, products,
//! quotients and square roots are the only operations, so that every platform draws the same images.

/// A point or a difference of points.
pub(crate) type Point = (f32, f32);

/// Sine of 60°.
const S60: f32 = 0.866_025_4;

const SQUARE: [Point; 4] = [(-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)];
const TRIANGLE: [Point; 3] = [(0.0, -1.0), (S60, 0.5), (-S60, 0.5)];
const CROSS: [Point; 12] = [
    (-0.3, -0.95),
    (0.3, -0.95),
    (0.3, -0.3),
    (0.95, -0.3),
    (0.95, 0.3),
    (0.3, 0.3),
    (0.3, 0.95),
    (-0.3, 0.95),
    (-0.3, 0.3),
    (-0.95, 0.3),
    (-0.95, -0.3),
    (-0.3, -0.3),
];
/// Five points on the unit circle, and between them five on a circle of radius 0.42.
const STAR: [Point; 10] = [
    (0.0, -1.0),
    (0.246_87, -0.339_79),
    (0.951_06, -0.309_02),
    (0.399_44, 0.129_79),
    (0.587_79, 0.809_02),
    (0.0, 0.42),
    (-0.587_79, 0.809_02),
    (-0.399_44, 0.129_79),
    (-0.951_06, -0.309_02),
    (-0.246_87, -0.339_79),
];
const ARROW: [Point; 7] =
    [(0.0, -1.0), (0.75, -0.15), (0.27, -0.15), (0.27, 0.95), (-0.27, 0.95), (-0.27, -0.15), (-0.75, -0.15)];
const HOURGLASS: [Point; 6] = [(-0.75, -0.9), (0.75, -0.9), (0.1, 0.0), (0.75, 0.9), (-0.75, 0.9), (-0.1, 0.0)];
const UPPER_BAR: [Point; 4] = [(-0.85, -0.75), (0.85, -0.75), (0.85, -0.25), (-0.85, -0.25)];

/// The signed distance of a point from the outline of a class.
pub(crate) fn distance(class: usize, point: Point) -> f32 {
    match class {
        0 => circle(point, 0.9),
        1 => (circle(point, 0.72)).abs() - 0.2,
        2 => polygon(point, &SQUARE),
        3 => polygon(point, &TRIANGLE),
        4 => polygon(point, &CROSS),
        5 => polygon(point, &STAR),
        6 => circle(point, 0.95).max(-circle((point.0 - 0.5, point.1), 0.8)),
        7 => polygon(point, &ARROW),
        8 => polygon(point, &HOURGLASS),
        _ => polygon((point.0, -point.1.abs()), &UPPER_BAR),
    }
}

/// The names of the shapes, indexed by label.
pub const CLASS_NAMES: [&str; 10] =
    ["disc", "ring", "square", "triangle", "cross", "star", "crescent", "arrow", "hourglass", "bars"];

fn circle((x, y): Point, radius: f32) -> f32 {
    (x * x + y * y).sqrt() - radius
}

/// Distance to the nearest edge; negative if a ray from the point crosses the outline an odd number of times.
fn polygon((x, y): Point, corners: &[Point]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let (edge_x, edge_y) = (previous.0 - corner.0, previous.1 - corner.1);
        let (to_x, to_y) = (x - corner.0, y - corner.1);
        let along = (to_x * edge_x + to_y * edge_y) / (edge_x * edge_x + edge_y * edge_y);
        let along = along.clamp(0.0, 1.0);
        let (off_x, off_y) = (to_x - edge_x * along, to_y - edge_y * along);
        nearest = nearest.min(off_x * off_x + off_y * off_y);
        if (corner.1 > y) != (previous.1 > y) && to_x < edge_x * to_y / edge_y {
            inside = !inside;
        }
        previous = corner;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_to_a_square_are_exact() {
        assert!((distance(2, (0.0, 0.0)) + 0.75).abs() < 1e-6);
        assert!((distance(2, (1.75, 0.0)) - 1.0).abs() < 1e-6);
        assert!((distance(2, (0.75 + 3.0, 0.75 + 4.0)) - 5.0).abs() < 1e-6);
    }

    #[test]
    fn every_outline_lies_in_the_unit_circle_and_has_an_inside() {
        for (class, name) in CLASS_NAMES.iter().enumerate() {
            let mut inside = 0;
            for row in 0..200 {
                for column in 0..200 {
                    let point = ((column as f32 - 99.5) / 80.0, (row as f32 - 99.5) / 80.0);
                    if distance(class, point) < 0.0 {
                        inside += 1;
                        assert!(circle(point, 1.2) < 0.0, "{name}: {point:?}");
                    }
                }
            }
            assert!(inside > 3000, "{name}: {inside}");
        }
    }
}

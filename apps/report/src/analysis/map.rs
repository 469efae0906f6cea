//! Maps of rows on a plane.

use bhtsne::{Neighbor, tSNE};

use super::neighbours::nearest;
use super::pca::principal_plane;
use super::rows::Rows;
use crate::error::Result;

/// How rows are brought to a plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapMethod {
    /// t-SNE by Barnes and Hut's approximation, from the first two principal components on: near rows stay near.
    ///
    /// Source: van der Maaten, "Accelerating t-SNE using Tree-Based Algorithms" (2014).
    #[default]
    Tsne,
    /// The first two principal components: distances are true, and it takes no time.
    Pca,
}

/// The perplexity of t-SNE: about as many neighbours count.
const PERPLEXITY: f32 = 30.0;
/// Fewest rows for t-SNE; below, principal components serve.
const LEAST: usize = 8;
/// The standard deviation of the first coordinates of t-SNE.
const SPREAD: f64 = 1e-4;

/// Returns the perplexity of t-SNE for a number of rows: 30, or fewer if there are few.
pub fn perplexity(rows: usize) -> f32 {
    PERPLEXITY.min(rows.saturating_sub(1) as f32 / 3.0)
}

/// Brings rows, divided by their lengths, to a plane: near means a large cosine. The result does not depend on chance.
///
/// # Errors
/// If the principal components cannot be computed.
pub fn map(rows: &Rows, method: MapMethod) -> Result<Vec<[f64; 2]>> {
    let unit = rows.unit();
    let plane = principal_plane(&Rows::new(&unit, rows.dim())?)?;
    if method == MapMethod::Pca || rows.len() < LEAST {
        return Ok(plane);
    }
    let perplexity = perplexity(rows.len());
    let count = ((3.0 * perplexity) as usize).min(rows.len() - 1);
    let distance = |cosine: f32| (2.0 - 2.0 * cosine).max(0.0).sqrt();
    let neighbours: Vec<Vec<Neighbor<f32>>> = nearest(rows, count)
        .iter()
        .map(|row| row.iter().map(|near| Neighbor { index: near.row, distance: distance(near.cosine) }).collect())
        .collect();
    let deviation = (plane.iter().map(|point| point[0].powi(2)).sum::<f64>() / plane.len() as f64).sqrt();
    let scale = if deviation > 0.0 { SPREAD / deviation } else { 0.0 };
    // Equal rows have one place on the plane, and forces between equal places have no direction.
    let jitter = |place: usize| SPREAD * 1e-3 * ((place as f64 * 0.618_033_988_75).fract() - 0.5);
    let start: Vec<f32> = plane
        .iter()
        .enumerate()
        .flat_map(|(place, [x, y])| [(x * scale + jitter(place)) as f32, (y * scale + jitter(place * 7 + 3)) as f32])
        .collect();
    let places: Vec<usize> = (0..rows.len()).collect();
    let mut tsne: tSNE<'_, f32, usize, 2> = tSNE::new(&places);
    tsne.perplexity(perplexity).initial_embedding(start).barnes_hut_with_neighbors(0.5, &neighbours);
    let found: Vec<[f64; 2]> =
        tsne.embedding().chunks_exact(2).map(|point| [f64::from(point[0]), f64::from(point[1])]).collect();
    let finite = found.iter().flatten().all(|value| value.is_finite());
    Ok(if finite { found } else { plane })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    /// Three tight clusters in 8 dimensions.
    fn clusters(each: usize) -> (Vec<f32>, Vec<usize>) {
        let labels: Vec<usize> = (0..3 * each).map(|row| row % 3).collect();
        let noise = normal(3 * each * 8, 4);
        let values = noise.chunks(8).zip(&labels).flat_map(|(noise, label)| {
            (0..8).map(move |i| 0.1 * noise[i] + if i == *label { 1.0 } else { 0.0 }).collect::<Vec<f32>>()
        });
        (values.collect(), labels)
    }

    #[test]
    fn clusters_stay_apart_in_both_maps() {
        let (values, labels) = clusters(60);
        let rows = Rows::new(&values, 8).unwrap();
        for method in [MapMethod::Pca, MapMethod::Tsne] {
            let points = map(&rows, method).unwrap();
            let distance = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
            let right = (0..points.len()).filter(|row| {
                let others = (0..points.len()).filter(|other| other != row);
                let near = others.min_by(|a, b| {
                    distance(&points[*a], &points[*row]).total_cmp(&distance(&points[*b], &points[*row]))
                });
                labels[near.unwrap()] == labels[*row]
            });
            assert_eq!(right.count(), points.len(), "{method:?}");
        }
    }

    #[test]
    fn few_and_equal_rows_have_places() {
        for rows in [1, 2, 7, 8, 40] {
            for method in [MapMethod::Pca, MapMethod::Tsne] {
                let equal = vec![1.0; rows * 3];
                let points = map(&Rows::new(&equal, 3).unwrap(), method).unwrap();
                assert!(points.len() == rows && points.iter().flatten().all(|x| x.is_finite()));
            }
        }
    }
}

//! Nearest neighbours by the cosine.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::rows::Rows;

/// Queries that are compared with all rows at a time.
const QUERIES: usize = 64;

/// A neighbour of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub row: usize,
    /// Cosine of the two rows.
    pub cosine: f32,
}

/// Returns the `count` nearest other rows of each row, the nearest first; of equal cosines, the first row. There are fewer if there are
/// fewer rows.
pub fn nearest(rows: &Rows, count: usize) -> Vec<Vec<Neighbour>> {
    let (unit, dim, all) = (rows.unit(), rows.dim(), rows.len());
    let count = count.min(all.saturating_sub(1));
    let references = MatRef::from_row_major_slice(&unit, all, dim).transpose();
    let blocks = unit.par_chunks(QUERIES * dim).enumerate().map(|(number, block)| {
        let queries = block.len() / dim;
        let mut cosines = vec![0.0f32; queries * all];
        let into = MatMut::from_row_major_slice_mut(&mut cosines, queries, all);
        let block = MatRef::from_row_major_slice(block, queries, dim);
        matmul(into, Accum::Replace, block, references, 1.0, Par::Seq);
        let of_query = |(place, row): (usize, &mut [f32])| {
            // The row itself comes last.
            row[number * QUERIES + place] = f32::NEG_INFINITY;
            best(row, count)
        };
        cosines.chunks_exact_mut(all).enumerate().map(of_query).collect::<Vec<_>>()
    });
    blocks.flatten_iter().collect()
}

fn best(cosines: &[f32], count: usize) -> Vec<Neighbour> {
    if count == 0 {
        return Vec::new();
    }
    let order = |a: &u32, b: &u32| cosines[*b as usize].total_cmp(&cosines[*a as usize]).then(a.cmp(b));
    let mut places: Vec<u32> = (0..cosines.len() as u32).collect();
    places.select_nth_unstable_by(count - 1, order);
    places.truncate(count);
    places.sort_unstable_by(order);
    places.into_iter().map(|row| Neighbour { row: row as usize, cosine: cosines[row as usize] }).collect()
}

/// Returns the share of each row's neighbours that have its label.
pub fn purity(neighbours: &[Vec<Neighbour>], labels: &[u16]) -> Vec<f64> {
    let share = |(row, nearest): (usize, &Vec<Neighbour>)| {
        let same = nearest.iter().filter(|neighbour| labels[neighbour.row] == labels[row]).count();
        same as f64 / nearest.len().max(1) as f64
    };
    neighbours.iter().enumerate().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    #[test]
    fn neighbours_equal_those_of_a_full_sort() {
        for (rows, dim, count) in [(1, 3, 4), (2, 1, 5), (63, 7, 3), (200, 5, 12)] {
            let values = normal(rows * dim, 3);
            let found = nearest(&Rows::new(&values, dim).unwrap(), count);
            let length = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            for (query, found) in found.iter().enumerate() {
                let own = &values[query * dim..][..dim];
                let mut all: Vec<(usize, f64)> = values
                    .chunks(dim)
                    .map(|row| {
                        let product: f64 = row.iter().zip(own).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        product / length(row) / length(own)
                    })
                    .enumerate()
                    .filter(|(row, _)| *row != query)
                    .collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                assert_eq!(found.len(), count.min(rows - 1));
                for (found, (_, cosine)) in found.iter().zip(&all) {
                    // f32 may swap neighbours of nearly equal cosine.
                    assert!((f64::from(found.cosine) - cosine).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn purity_is_the_share_of_the_own_class() {
        let values = [1.0, 0.0, 1.0, 0.1, 0.0, 1.0, 0.1, 1.0];
        let neighbours = nearest(&Rows::new(&values, 2).unwrap(), 1);
        assert_eq!(neighbours.iter().map(|near| near[0].row).collect::<Vec<_>>(), [1, 0, 3, 2]);
        assert_eq!(purity(&neighbours, &[0, 0, 1, 2]), [1.0, 1.0, 0.0, 0.0]);
    }
}

use crate::candidates::Candidates;
use crate::error::RetrievalError;
use crate::labelled_rows::LabelledRows;
use crate::ranking::{Cameras, same_dimensions};
use crate::ranks::key;
use crate::unit_rows::QUERIES;

/// A reference among the nearest of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The row of the reference.
    pub row: usize,
    /// Its cosine with the query.
    pub similarity: f32,
    /// Whether it has the label of the query.
    pub relevant: bool,
}

/// Returns the nearest `count` references of the queries in the rows `chosen`, nearest first, in the order of
/// [`rank_among_others`](crate::rank_among_others).
///
/// # Panics
/// If a chosen row does not exist.
pub fn nearest_others(images: &LabelledRows, chosen: &[usize], count: usize) -> Vec<Vec<Neighbour>> {
    nearest_kept(images, images, chosen, count, |query, reference| query == reference)
}

/// Returns the nearest `count` references of the queries in the rows `chosen`, nearest first, in the order of [`rank`](crate::rank).
///
/// # Errors
/// If queries and references have different dimensions.
///
/// # Panics
/// If a chosen row does not exist.
pub fn nearest(
    queries: &LabelledRows,
    references: &LabelledRows,
    chosen: &[usize],
    count: usize,
) -> Result<Vec<Vec<Neighbour>>, RetrievalError> {
    same_dimensions(queries, references)?;
    Ok(nearest_kept(queries, references, chosen, count, |_, _| false))
}

/// Returns the nearest `count` images of the gallery of the queries in the rows `chosen`, nearest first, in the order of
/// [`rank_across_cameras`](crate::rank_across_cameras).
///
/// # Errors
/// If the cameras are not known, or queries and gallery have different dimensions.
///
/// # Panics
/// If a chosen row does not exist.
pub fn nearest_across_cameras(
    queries: &LabelledRows,
    gallery: &LabelledRows,
    chosen: &[usize],
    count: usize,
) -> Result<Vec<Vec<Neighbour>>, RetrievalError> {
    let cameras = Cameras::of(queries, gallery)?;
    Ok(nearest_kept(queries, gallery, chosen, count, |query, image| cameras.are_one(query, image)))
}

/// `left_out` says which references with the query's label do not count; it gets the rows of both.
fn nearest_kept(
    queries: &LabelledRows,
    references: &LabelledRows,
    chosen: &[usize],
    count: usize,
    left_out: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<Neighbour>> {
    let (candidates, width) = (Candidates::of(references), references.unit.padded());
    let (mut similarities, mut relevant) = (vec![0.0f32; QUERIES * width], Vec::new());
    let mut all = Vec::with_capacity(chosen.len());
    for block in chosen.chunks(QUERIES) {
        let unit = queries.unit.select(block);
        unit.similarities(0, &references.unit, &mut similarities);
        for (query, row) in block.iter().zip(similarities.chunks_exact_mut(width)) {
            let row = &mut row[..references.len()];
            let label = queries.labels[*query];
            candidates.keep(label, |reference| left_out(*query, reference), row, &mut relevant);
            let counted = (0u32..).zip(row.iter()).filter(|(_, similarity)| **similarity > f32::NEG_INFINITY);
            let mut order: Vec<(u64, u32)> = counted.map(|(row, similarity)| (key(*similarity, row), row)).collect();
            if count < order.len() {
                order.select_nth_unstable(count);
                order.truncate(count);
            }
            order.sort_unstable();
            let neighbour = |(_, place): (u64, u32)| {
                let place = place as usize;
                Neighbour { row: place, similarity: row[place], relevant: references.labels[place] == label }
            };
            all.push(order.into_iter().map(neighbour).collect());
        }
    }
    all
}

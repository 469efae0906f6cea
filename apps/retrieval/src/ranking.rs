use rayon::prelude::*;

use crate::candidates::Candidates;
use crate::error::RetrievalError;
use crate::figures::QueryFigures;
use crate::labelled_rows::LabelledRows;
use crate::ranks::ranks;
use crate::unit_rows::QUERIES;

/// Ranks all other rows of the set for each of its rows. A reference is relevant if it has the label of the query.
///
/// Returns the figures of each query, or `None` for one without a relevant reference. This is the protocol of CUB-200, Cars-196 and SOP.
pub fn rank_among_others(images: &LabelledRows) -> Vec<Option<QueryFigures>> {
    figures(images, images, |query, reference| query == reference)
}

/// Ranks all references for each query. A reference is relevant if it has the label of the query.
///
/// Returns the figures of each query, or `None` for one without a relevant reference.
///
/// # Errors
/// If queries and references have different dimensions.
pub fn rank(queries: &LabelledRows, references: &LabelledRows) -> Result<Vec<Option<QueryFigures>>, RetrievalError> {
    same_dimensions(queries, references)?;
    Ok(figures(queries, references, |_, _| false))
}

/// Ranks the gallery for each query by the rule of re-identification: images of the query's identity from the query's camera, and junk, are left
/// out. What remains of the query's identity is relevant.
///
/// Returns the figures of each query, or `None` for one without a relevant image. `queries` and `gallery` may be the same set.
///
/// Source: Zheng et al., "Scalable Person Re-identification: A Benchmark" (2015), section 5.
///
/// # Errors
/// If the cameras are not known, or queries and gallery have different dimensions.
pub fn rank_across_cameras(
    queries: &LabelledRows,
    gallery: &LabelledRows,
) -> Result<Vec<Option<QueryFigures>>, RetrievalError> {
    let cameras = Cameras::of(queries, gallery)?;
    Ok(figures(queries, gallery, |query, image| cameras.are_one(query, image)))
}

/// The cameras of queries and gallery.
pub(crate) struct Cameras<'a> {
    queries: &'a [u32],
    gallery: &'a [u32],
}

impl<'a> Cameras<'a> {
    /// Takes the cameras of two sets that can be compared.
    pub(crate) fn of(queries: &'a LabelledRows, gallery: &'a LabelledRows) -> Result<Self, RetrievalError> {
        same_dimensions(queries, gallery)?;
        Ok(Self {
            queries: queries.cameras.as_deref().ok_or(RetrievalError::NoCameras("queries"))?,
            gallery: gallery.cameras.as_deref().ok_or(RetrievalError::NoCameras("gallery images"))?,
        })
    }

    /// Whether a query and an image of the gallery are from the same camera.
    pub(crate) fn are_one(&self, query: usize, image: usize) -> bool {
        self.queries[query] == self.gallery[image]
    }
}

pub(crate) fn same_dimensions(queries: &LabelledRows, references: &LabelledRows) -> Result<(), RetrievalError> {
    let (queries, references) = (queries.unit.dim(), references.unit.dim());
    if queries == references { Ok(()) } else { Err(RetrievalError::Dimensions { queries, references }) }
}

/// Ranks the references for each query. `left_out` says which references with the query's label do not count; it gets the rows of both.
///
/// Each thread holds the similarities of a block of queries to all references.
fn figures(
    queries: &LabelledRows,
    references: &LabelledRows,
    left_out: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Option<QueryFigures>> {
    let (candidates, width) = (Candidates::of(references), references.unit.padded());
    let mut all = vec![None; queries.len()];
    // One block after the other for each thread, so that as few rows of similarities as possible are in memory.
    let blocks = all.par_chunks_mut(QUERIES).enumerate().with_max_len(1);
    let scratch = || (vec![0.0f32; QUERIES * width], Vec::new(), Vec::new());
    blocks.for_each_init(scratch, |(similarities, relevant, found), (number, figures)| {
        let first = number * QUERIES;
        queries.unit.similarities(first, &references.unit, similarities);
        for ((query, figures), row) in (first..).zip(figures).zip(similarities.chunks_exact_mut(width)) {
            let row = &mut row[..references.len()];
            candidates.keep(queries.labels[query], |reference| left_out(query, reference), row, relevant);
            if !relevant.is_empty() && !queries.is_junk(query) {
                ranks(row, relevant, found);
                *figures = Some(QueryFigures::of_ranks(found));
            }
        }
    });
    all
}

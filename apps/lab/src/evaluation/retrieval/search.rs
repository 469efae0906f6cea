//! Features ranked by the protocol of their images.

use qare_data::ImageSet;
use qare_retrieval::{
    LabelledRows, Neighbour, QueryFigures, Summary, nearest, nearest_across_cameras, nearest_others, rank,
    rank_across_cameras, rank_among_others,
};

use super::protocol::{Protocol, divided};
use crate::error::Result;
use crate::evaluation::features::Features;

/// The queries of a set of images, ranked.
pub struct Search {
    /// The protocol.
    pub protocol: Protocol,
    pub(super) queries: Part,
    /// The images that are searched, if they are not the queries.
    gallery: Option<Part>,
    has_cameras: bool,
    /// Figures of each query, `None` for one that has no image to be found.
    pub figures: Vec<Option<QueryFigures>>,
}

/// Some of the images.
pub(super) struct Part {
    pub(super) rows: LabelledRows,
    /// The index of each row's image in the set.
    images: Vec<usize>,
}

impl Part {
    fn of(features: &Features, images: &ImageSet, indices: Vec<usize>) -> Result<Self> {
        let dim = features.dim;
        let mut values = Vec::with_capacity(indices.len() * dim);
        indices.iter().for_each(|index| values.extend_from_slice(&features.values[index * dim..(index + 1) * dim]));
        let labels: Vec<u32> = indices.iter().map(|index| features.labels[*index].into()).collect();
        let mut rows = LabelledRows::new(&values, dim, &labels)?;
        if let Some(cameras) = images.cameras() {
            rows = rows.with_cameras(&indices.iter().map(|index| cameras[*index].into()).collect::<Vec<u32>>())?;
        }
        Ok(Self { rows, images: indices })
    }
}

impl Search {
    /// Ranks the features of images by their protocol.
    ///
    /// # Errors
    /// If a feature is not finite.
    pub fn of(features: &Features, images: &ImageSet) -> Result<Self> {
        let protocol = Protocol::of(images);
        let (queries, gallery) = divided(images);
        let queries = Part::of(features, images, queries)?;
        let gallery = match protocol {
            Protocol::QueriesAndGallery => Some(Part::of(features, images, gallery)?),
            _ => None,
        };
        let searched = &gallery.as_ref().unwrap_or(&queries).rows;
        let has_cameras = images.cameras().is_some();
        let figures = match protocol {
            _ if has_cameras => rank_across_cameras(&queries.rows, searched)?,
            Protocol::QueriesAndGallery => rank(&queries.rows, searched)?,
            _ => rank_among_others(&queries.rows),
        };
        Ok(Self { protocol, queries, gallery, has_cameras, figures })
    }

    /// Returns the figures of all queries together.
    ///
    /// # Errors
    /// If no query has an image of its class to be found.
    pub fn summary(&self) -> Result<Summary> {
        Ok(Summary::of(&self.figures)?)
    }

    /// Returns the number of images that are searched.
    pub fn searched(&self) -> usize {
        self.gallery.as_ref().unwrap_or(&self.queries).images.len()
    }

    /// Returns the index of a query's image in the set.
    pub fn image(&self, query: usize) -> usize {
        self.queries.images[query]
    }

    /// Returns the nearest `count` images of each of the `chosen` queries, nearest first: their indices in the set, and whether they are of the
    /// query's class.
    ///
    /// # Panics
    /// If a chosen query does not exist.
    pub fn nearest(&self, chosen: &[usize], count: usize) -> Result<Vec<Vec<(usize, bool)>>> {
        let (queries, searched) = (&self.queries.rows, self.gallery.as_ref().unwrap_or(&self.queries));
        let found = match self.protocol {
            _ if self.has_cameras => nearest_across_cameras(queries, &searched.rows, chosen, count)?,
            Protocol::QueriesAndGallery => nearest(queries, &searched.rows, chosen, count)?,
            _ => nearest_others(queries, chosen, count),
        };
        let image = |neighbour: Neighbour| (searched.images[neighbour.row], neighbour.relevant);
        Ok(found.into_iter().map(|row| row.into_iter().map(image).collect()).collect())
    }
}

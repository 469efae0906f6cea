//! Queries to look at, with their nearest images.

use std::cmp::Reverse;

use qare_data::{Draw, Purpose};

use super::search::Search;
use crate::error::Result;

/// The number of nearest images of a query.
const NEAREST: usize = 10;

/// A query and its nearest images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The index of the query's image in the set.
    pub query: usize,
    /// The indices of the nearest images, nearest first, and whether each is of the query's class.
    pub nearest: Vec<(usize, bool)>,
}

/// Random queries and the worst ones, of those that have an image to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// Queries that are drawn with a seed.
    pub random: Vec<Found>,
    /// The queries, none of the random ones among them, whose first right image has the highest rank, the worst first. Of equal ranks, the one
    /// with the smaller average precision comes first.
    pub worst: Vec<Found>,
}

impl Neighbours {
    /// Chooses `count` queries of each kind, fewer if there are not as many.
    pub fn of(search: &Search, count: usize, seed: u64) -> Result<Self> {
        let mut queries: Vec<usize> =
            (0..search.figures.len()).filter(|query| search.figures[*query].is_some()).collect();
        // The draws for parts of a dataset have 0 in place of 1.
        Draw::new(seed, Purpose::Part, 1, 0, 0).shuffle(&mut queries);
        let rest = queries.split_off(count.min(queries.len()));
        let mut worst: Vec<(usize, f64, usize)> = rest
            .into_iter()
            .filter_map(|query| search.figures[query].map(|figures| (figures.first, figures.average_precision, query)))
            .collect();
        worst.sort_by(|one, other| {
            Reverse(one.0).cmp(&Reverse(other.0)).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
        });
        let worst: Vec<usize> = worst.into_iter().take(count).map(|(_, _, query)| query).collect();
        let found = |chosen: &[usize]| -> Result<Vec<Found>> {
            let nearest = search.nearest(chosen, NEAREST)?;
            let found = |(query, nearest): (&usize, _)| Found { query: search.image(*query), nearest };
            Ok(chosen.iter().zip(nearest).map(found).collect())
        };
        Ok(Self { random: found(&queries)?, worst: found(&worst)? })
    }
}

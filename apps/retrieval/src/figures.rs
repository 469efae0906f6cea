use crate::error::RetrievalError;

/// The figures of one query with R relevant references, at the ranks r₁ < r₂ < … < r_R. Fractions, not percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryFigures {
    /// Number of relevant references, R.
    pub relevant: usize,
    /// Rank of the nearest relevant reference, r₁, from 1 on.
    pub first: usize,
    /// R-precision: the share of relevant ones among the R nearest references.
    pub r_precision: f64,
    /// Average precision at R: 1/R · Σ i/rᵢ over the relevant references with rᵢ ≤ R.
    ///
    /// Source: Musgrave, Belongie, Lim, "A Metric Learning Reality Check" (2020), section 3.2.
    pub average_precision_at_r: f64,
    /// Average precision: 1/R · Σ i/rᵢ over all relevant references.
    pub average_precision: f64,
}

impl QueryFigures {
    /// Computes the figures from the ranks of all relevant references, in ascending order; there is at least one.
    pub(crate) fn of_ranks(ranks: &[u32]) -> Self {
        let count = ranks.len();
        let within = ranks.partition_point(|rank| *rank as usize <= count);
        let mean_of = |ranks: &[u32]| {
            (1u32..).zip(ranks).map(|(place, rank)| f64::from(place) / f64::from(*rank)).sum::<f64>() / count as f64
        };
        Self {
            relevant: count,
            first: ranks[0] as usize,
            r_precision: within as f64 / count as f64,
            average_precision_at_r: mean_of(&ranks[..within]),
            average_precision: mean_of(ranks),
        }
    }
}

/// Means over the queries that have a relevant reference. Fractions, not percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Number of queries that the means are over.
    pub queries: usize,
    /// Number of queries that are left out because no reference is relevant.
    pub left_out: usize,
    /// Mean R-precision.
    pub r_precision: f64,
    /// MAP@R, the mean of [`QueryFigures::average_precision_at_r`].
    pub map_at_r: f64,
    /// mAP, the mean of [`QueryFigures::average_precision`].
    pub map: f64,
    /// Rank of the first relevant reference of each query, ascending.
    first: Vec<usize>,
}

impl Summary {
    /// Computes the means.
    ///
    /// # Errors
    /// If no query has a relevant reference.
    pub fn of(queries: &[Option<QueryFigures>]) -> Result<Self, RetrievalError> {
        let counted: Vec<&QueryFigures> = queries.iter().flatten().collect();
        if counted.is_empty() {
            return Err(RetrievalError::NothingRelevant { queries: queries.len() });
        }
        let mean = |figure: fn(&QueryFigures) -> f64| {
            counted.iter().map(|query| figure(query)).sum::<f64>() / counted.len() as f64
        };
        let mut first: Vec<usize> = counted.iter().map(|query| query.first).collect();
        first.sort_unstable();
        Ok(Self {
            queries: counted.len(),
            left_out: queries.len() - counted.len(),
            r_precision: mean(|query| query.r_precision),
            map_at_r: mean(|query| query.average_precision_at_r),
            map: mean(|query| query.average_precision),
            first,
        })
    }

    /// Recall@k, which is CMC@k of re-identification: the share of queries with a relevant one among the k nearest references. Recall@1 is
    /// the precision at 1.
    pub fn recall_at(&self, k: usize) -> f64 {
        self.first.partition_point(|rank| *rank <= k) as f64 / self.queries as f64
    }
}

//! The triplet margin loss, triplet by triplet.

use super::super::pairwise::sums;
use super::{Anchor, DistanceLoss, LabelledRows, Violations};
use crate::metric::{TripletMargin, Triplets};
use crate::term::DistanceTerm;

impl LabelledRows {
    /// The loss, with its gradient if `differentiate`.
    pub fn triplet_margin(&self, loss: &TripletMargin, differentiate: bool) -> DistanceTerm {
        self.term(loss, differentiate)
    }
}

impl DistanceLoss for TripletMargin {
    /// One mean over the triplets, so that the second sum is 0 and the counts are the same.
    #[inline(always)]
    fn of_anchor(&self, anchor: &mut Anchor) -> [Violations; 2] {
        let margin = self.margin as f32;
        // The gaps d_ap − d_an that count, from and below.
        let (least, end) = match self.triplets {
            Triplets::All => (f32::NEG_INFINITY, f32::INFINITY),
            Triplets::Hard => (0.0, f32::INFINITY),
            Triplets::SemiHard => (f32::NEG_INFINITY, 0.0),
        };
        let Anchor { positives, negatives, scratch } = anchor;
        scratch.resize(negatives.values.len(), 0.0);
        let mut total = Violations::default();
        for (near, number) in positives.values.iter().zip(&mut positives.violations) {
            let far = negatives.values.iter().zip(&mut negatives.violations);
            for ((far, number), violation) in far.zip(scratch.iter_mut()) {
                let gap = near - far;
                let counts = gap >= least && gap < end && gap + margin > 0.0;
                *violation = if counts { gap + margin } else { 0.0 };
                *number += if counts { 1.0 } else { 0.0 };
            }
            let [sum, count] = sums([scratch], |[x]| [x, if x > 0.0 { 1.0 } else { 0.0 }]);
            *number = count as f32;
            total = total + Violations { sum, count };
        }
        [total, Violations { sum: 0.0, ..total }]
    }
}

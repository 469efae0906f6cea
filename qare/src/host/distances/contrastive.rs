//! The contrastive loss, pair by pair.

use super::super::pairwise::sums;
use super::{Anchor, DistanceLoss, Distances, LabelledRows, Violations};
use crate::metric::Contrastive;
use crate::term::DistanceTerm;

impl LabelledRows {
    /// The loss, with its gradient if `differentiate`.
    pub fn contrastive(&self, loss: &Contrastive, differentiate: bool) -> DistanceTerm {
        self.term(loss, differentiate)
    }
}

impl DistanceLoss for Contrastive {
    /// The mean over the positives, and that over the negatives.
    #[inline(always)]
    fn of_anchor(&self, anchor: &mut Anchor) -> [Violations; 2] {
        let (near, far) = (self.pos_margin as f32, self.neg_margin as f32);
        [of(&mut anchor.positives, |d| d - near), of(&mut anchor.negatives, |d| far - d)]
    }
}

#[inline(always)]
fn of(distances: &mut Distances, violation: impl Fn(f32) -> f32) -> Violations {
    for (number, distance) in distances.violations.iter_mut().zip(&distances.values) {
        *number = if violation(*distance) > 0.0 { 1.0 } else { 0.0 };
    }
    let [sum, count] = sums([&distances.values], |[distance]| {
        let violation = violation(distance);
        if violation > 0.0 { [violation, 1.0] } else { [0.0, 0.0] }
    });
    Violations { sum, count }
}

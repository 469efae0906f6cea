//! The warning that a representation has collapsed.

use log::warn;

/// A representation is called collapsed if RankMe of its embeddings is below this number.
pub const COLLAPSED: f64 = 2.0;
/// It is also called collapsed if the uniformity is above this number: exp(−2‖x − y‖²) is 0.9 on average, that is, nearly all pairs are closer
/// than 0.25.
pub const CROWDED: f64 = -0.1;
/// Embeddings of fewer dimensions are not called collapsed: a rank below 2 is not far from what they can have.
pub const LEAST_DIMENSIONS: usize = 8;

/// Warns once in a run.
pub struct CollapseWarning {
    said: bool,
}

impl CollapseWarning {
    /// A warning that is due, unless an earlier epoch of the run, given the values of RankMe and of the uniformity in its log, has had it.
    pub fn after(rank_me: impl IntoIterator<Item = f64>, uniformity: impl IntoIterator<Item = f64>) -> Self {
        let of_rank = rank_me.into_iter().any(|rank| rank < COLLAPSED);
        Self { said: of_rank || uniformity.into_iter().any(|uniformity| uniformity > CROWDED) }
    }

    /// Warns if the mean of RankMe or of the uniformity over an epoch says that embeddings of `dim` dimensions have collapsed. Returns whether
    /// it does.
    pub fn check(&mut self, epoch: usize, rank_me: Option<f64>, uniformity: Option<f64>, dim: usize) -> bool {
        let of_rank = rank_me.filter(|rank| *rank < COLLAPSED && dim >= LEAST_DIMENSIONS);
        let crowded = uniformity.filter(|uniformity| *uniformity > CROWDED);
        let found = match (of_rank, crowded) {
            _ if self.said => return false,
            (Some(rank), _) => format!("embeddings have rank {rank:.1} of {dim} (RankMe)"),
            (None, Some(uniformity)) => {
                format!("embeddings are nearly equal (uniformity {uniformity:.3}, 0 if they are equal)")
            }
            (None, None) => return false,
        };
        self.said = true;
        warn!("warning: epoch {epoch}: {found}: collapsed? A lower learning rate may help");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_warns_once() {
        let mut warning = CollapseWarning::after([], []);
        assert!(!warning.check(1, Some(9.0), Some(-2.0), 64));
        assert!(!warning.check(2, None, None, 64));
        assert!(!warning.check(3, Some(1.2), None, 4), "few dimensions");
        assert!(warning.check(4, Some(1.3), Some(-2.0), 64));
        assert!(!warning.check(5, Some(1.3), None, 64));
        // Also if it is resumed.
        assert!(!CollapseWarning::after([9.0, 1.3], []).check(6, Some(1.1), None, 64));
        assert!(!CollapseWarning::after([], [-1.0, -0.05]).check(6, Some(1.1), None, 64));
        // Nearly equal embeddings, whose differences have several directions.
        assert!(CollapseWarning::after([9.0], [-1.0]).check(6, Some(2.4), Some(-0.07), 64));
    }
}

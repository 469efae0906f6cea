//! The warning that a representation has collapsed.

use log::warn;

/// A representation is called collapsed if RankMe of its embeddings is below this number.
pub const COLLAPSED: f64 = 2.0;
/// Embeddings of fewer dimensions are not called collapsed: a rank below 2 is not far from what they can have.
pub const LEAST_DIMENSIONS: usize = 8;

/// Warns once in a run.
pub struct CollapseWarning {
    said: bool,
}

impl CollapseWarning {
    /// A warning that is due, unless an earlier epoch of the run, given the values of RankMe in its log, has had it.
    pub fn after(rank_me: impl IntoIterator<Item = f64>) -> Self {
        Self { said: rank_me.into_iter().any(|rank| rank < COLLAPSED) }
    }

    /// Warns if the mean of RankMe over an epoch says that embeddings of `dim` dimensions have collapsed. Returns whether it does.
    pub fn check(&mut self, epoch: usize, rank_me: Option<f64>, dim: usize) -> bool {
        let Some(rank) = rank_me.filter(|rank| *rank < COLLAPSED && dim >= LEAST_DIMENSIONS && !self.said) else {
            return false;
        };
        self.said = true;
        warn!(
            "warning: epoch {epoch}: embeddings have rank {rank:.1} of {dim} (RankMe): collapsed? A lower learning rate may help"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_warns_once() {
        let mut warning = CollapseWarning::after([]);
        assert!(!warning.check(1, Some(9.0), 64));
        assert!(!warning.check(2, None, 64));
        assert!(!warning.check(3, Some(1.2), 4), "few dimensions");
        assert!(warning.check(4, Some(1.3), 64));
        assert!(!warning.check(5, Some(1.3), 64));
        // Also if it is resumed.
        assert!(!CollapseWarning::after([9.0, 1.3]).check(6, Some(1.1), 64));
    }
}

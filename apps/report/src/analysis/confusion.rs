//! Confusion matrices.

use crate::error::{ReportError, Result};

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Number of classes, C.
    pub classes: usize,
    /// `[C, C]`: row by true class, column by predicted class.
    pub counts: Vec<u32>,
}

impl Confusion {
    /// Counts the pairs of labels and predictions.
    ///
    /// # Errors
    /// If there are not as many of both, or one is not below `classes`.
    pub fn of(labels: &[u16], predicted: &[u16], classes: usize) -> Result<Self> {
        if predicted.len() != labels.len() {
            return Err(ReportError::Size { what: "predictions", found: predicted.len(), expected: labels.len() });
        }
        if let Some(label) = labels.iter().chain(predicted).find(|label| usize::from(**label) >= classes) {
            return Err(ReportError::Size { what: "classes", found: classes, expected: usize::from(*label) + 1 });
        }
        let mut counts = vec![0; classes * classes];
        for (label, found) in labels.iter().zip(predicted) {
            counts[usize::from(*label) * classes + usize::from(*found)] += 1;
        }
        Ok(Self { classes, counts })
    }

    /// Returns the number of images of a class.
    pub fn total(&self, class: usize) -> u32 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    /// Returns the accuracy of a class as a fraction, if it has images.
    pub fn accuracy_of(&self, class: usize) -> Option<f64> {
        let total = self.total(class);
        (total > 0).then(|| f64::from(self.counts[class * self.classes + class]) / f64::from(total))
    }

    /// Returns the accuracy over all images as a fraction.
    pub fn accuracy(&self) -> f64 {
        let right: u32 = (0..self.classes).map(|class| self.counts[class * self.classes + class]).sum();
        f64::from(right) / f64::from(self.counts.iter().sum::<u32>().max(1))
    }

    /// Returns the pairs (true, predicted) of different classes with the most images, the most frequent first.
    pub fn most_confused(&self, count: usize) -> Vec<(usize, usize, u32)> {
        let pairs = self.counts.iter().enumerate().map(|(at, count)| (at / self.classes, at % self.classes, *count));
        let mut pairs: Vec<(usize, usize, u32)> =
            pairs.filter(|(label, found, count)| label != found && *count > 0).collect();
        pairs.sort_by_key(|(label, found, count)| (std::cmp::Reverse(*count), *label, *found));
        pairs.truncate(count);
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted() {
        let found = Confusion::of(&[0, 0, 0, 1, 1, 2], &[0, 1, 1, 1, 0, 1], 4).unwrap();
        assert_eq!(found.counts, [1, 2, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!((found.accuracy_of(1), found.accuracy_of(2), found.accuracy_of(3)), (Some(0.5), Some(0.0), None));
        assert!((found.accuracy() - 2.0 / 6.0).abs() < 1e-12);
        assert_eq!(found.most_confused(2), [(0, 1, 2), (1, 0, 1)]);
        assert!(Confusion::of(&[0], &[4], 4).is_err() && Confusion::of(&[0], &[], 4).is_err());
    }
}

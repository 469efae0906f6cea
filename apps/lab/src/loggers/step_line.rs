//! The figures of a step, by name.

use crate::methods::Figure;
use crate::training::step::StepFigures;

/// What is logged about a step.
pub struct StepLine<'a> {
    /// The step, counted from 1 at the start of the run.
    pub step: usize,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The figures of the step.
    pub figures: &'a StepFigures,
    /// What the figures of the method are.
    pub names: &'a [Figure],
}

impl StepLine<'_> {
    /// Returns the loss, its terms and the other figures of the method, then those of the representation, under the names of columns in
    /// `log.csv`.
    pub fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        let method = self.names.iter().zip(&self.figures.method).map(|(figure, value)| (figure.column(), *value));
        let live = self.figures.live.iter().map(|(figure, value)| (figure.figure().column(), value));
        [("loss".to_string(), self.figures.loss)].into_iter().chain(method).chain(live)
    }

    /// Returns the duration of the step in seconds. On a GPU, it is that of a mean step among those that were read together.
    pub fn seconds(&self) -> f64 {
        self.figures.views as f64 / self.figures.views_per_second
    }
}

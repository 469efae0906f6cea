//! What a step of training or validation hands to metrics and renderers: plain numbers.

use burn::optim::GradientsParams;
use burn_train::ItemLazy;
use burn_train::metric::Adaptor;

use crate::error::{LabError, Result};
use crate::methods::Figure;

/// The figures of one training step.
#[derive(Clone, Debug, Default)]
pub struct StepFigures {
    /// What is minimised.
    pub loss: f64,
    /// Those that the method's plan announces, in its order.
    pub method: Vec<f64>,
    /// Views in the batch.
    pub views: usize,
    /// Views trained on in a second, the loader's time included.
    pub views_per_second: f64,
}

impl StepFigures {
    /// Refuses figures, whose names these are, that are not finite.
    pub(crate) fn check(&self, names: &[Figure]) -> Result<()> {
        let named = names.iter().map(|figure| figure.name).zip(self.method.iter().copied());
        match [("loss", self.loss)].into_iter().chain(named).find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((name, value)) => Err(LabError::Failed(format!(
                "{name} is {value}: training has diverged (lower the learning rate, or look for bad input)"
            ))),
        }
    }
}

/// A batch that has been differentiated.
pub struct Step {
    /// Gradients of all weights.
    pub gradients: GradientsParams,
    /// What is reported of it.
    pub figures: StepFigures,
    /// Whether the gradients are finite; they may not be where the loss was scaled.
    pub finite: bool,
}

/// How a training step ended.
#[derive(Clone, Debug)]
pub enum StepOutput {
    /// It was taken.
    Done(StepFigures),
    /// The step could not be taken; its gradients are void.
    Failed(String),
}

impl ItemLazy for StepOutput {
    type ItemSync = StepOutput;

    fn sync(self) -> StepOutput {
        self
    }
}

impl Adaptor<StepFigures> for StepOutput {
    fn adapt(&self) -> StepFigures {
        match self {
            StepOutput::Done(figures) => figures.clone(),
            StepOutput::Failed(_) => StepFigures { loss: f64::NAN, ..Default::default() },
        }
    }
}

/// Features of a batch on the way to a validation, and in the end its result.
#[derive(Clone, Debug, Default)]
pub struct ValidationOutput {
    /// Features of the batch's images, one row after the other.
    pub features: Vec<f32>,
    /// k-nearest-neighbour accuracy of the held-out part, in percent.
    pub knn_accuracy: f64,
}

impl ItemLazy for ValidationOutput {
    type ItemSync = ValidationOutput;

    fn sync(self) -> ValidationOutput {
        self
    }
}

impl Adaptor<ValidationOutput> for ValidationOutput {
    fn adapt(&self) -> ValidationOutput {
        ValidationOutput { features: Vec::new(), ..self.clone() }
    }
}

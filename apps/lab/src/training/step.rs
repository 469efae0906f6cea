//! The results of training and validation steps, as plain numbers for metrics and renderers.

use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};
use burn_train::ItemLazy;
use burn_train::metric::Adaptor;

use super::loss_scale::LossScale;
use crate::error::{LabError, Result};
use crate::evaluation::features;
use crate::methods::{Embeddings, Figure};
use crate::training::live::LiveValues;

/// The figures of one training step.
#[derive(Clone, Debug, Default)]
pub struct StepFigures {
    /// The loss.
    pub loss: f64,
    /// The figures of the method, in the order of its plan.
    pub method: Vec<f64>,
    /// Number of views in the batch.
    pub views: usize,
    /// Views per second, including the time of the loader.
    pub views_per_second: f64,
    /// Whether the gradients are not finite at the smallest loss scale.
    pub scale_is_exhausted: bool,
    /// Figures of the representation, if the step is a sample.
    pub live: LiveValues,
}

impl StepFigures {
    /// Checks that all figures are finite, and that the loss scale is not exhausted. `names` are the figures of the method's plan.
    pub(crate) fn check(&self, names: &[Figure]) -> Result<()> {
        if self.scale_is_exhausted {
            return Err(LossScale::error_of_exhaustion());
        }
        let named = names.iter().map(|figure| figure.name).zip(self.method.iter().copied());
        match [("loss", self.loss)].into_iter().chain(named).find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((name, value)) => Err(LabError::Failed(format!(
                "{name} is {value}: training has diverged (lower the learning rate, or check the images)"
            ))),
        }
    }
}

/// Gradients and figures of a batch.
pub struct Step<B: Backend> {
    /// Gradients of all weights.
    pub gradients: GradientsParams,
    /// The figures of the batch.
    pub figures: Figures<B>,
    /// Whether the gradients are finite, `[1]`, on the device. `None` without loss scaling.
    pub finite: Option<Tensor<B, 1, Bool>>,
    /// The embeddings of the batch; on several devices those of the first, which are all or its share.
    pub embeddings: Option<Embeddings<B>>,
}

/// The figures of a step, read from its device or not yet. Reading them waits until the device has computed the step.
#[derive(Clone, Debug)]
pub enum Figures<B: Backend> {
    /// The figures are numbers.
    Read(StepFigures),
    /// The figures are on the device.
    OnDevice {
        /// The loss and the figures of the method, `[1 + F]`.
        values: Tensor<B, 1>,
        /// The factor of the values.
        weight: f64,
        /// Number of views in the batch.
        views: usize,
    },
}

impl<B: Backend> Figures<B> {
    /// Returns the figures. Waits for the device.
    pub fn read(self) -> StepFigures {
        read_all(vec![(self, None)]).remove(0)
    }
}

/// The figures of a step, and in f16 whether its loss scale is exhausted, `[1]`.
pub(super) type Unread<B> = (Figures<B>, Option<Tensor<B, 1>>);

/// Returns the figures of several steps in one read. Waits for the device.
pub(super) fn read_all<B: Backend>(steps: Vec<Unread<B>>) -> Vec<StepFigures> {
    let on_device = steps.iter().flat_map(|(figures, exhausted)| {
        let values = match figures {
            Figures::OnDevice { values, .. } => Some(values.clone()),
            Figures::Read(_) => None,
        };
        values.into_iter().chain(exhausted.clone())
    });
    let on_device: Vec<_> = on_device.collect();
    let mut numbers = match on_device.len() {
        0 => Vec::new(),
        _ => features::values(Tensor::cat(on_device, 0)),
    }
    .into_iter()
    .map(f64::from);
    let steps = steps.into_iter().map(|(figures, exhausted)| {
        let figures = match figures {
            Figures::Read(figures) => figures,
            Figures::OnDevice { values, weight, views } => {
                let mut own = numbers.by_ref().take(values.dims()[0]).map(|value| weight * value);
                let loss = own.next().expect("the loss is the first of the values");
                StepFigures { loss, method: own.collect(), views, ..Default::default() }
            }
        };
        let scale_is_exhausted = exhausted.is_some() && numbers.next() == Some(1.0);
        StepFigures { scale_is_exhausted, ..figures }
    });
    steps.collect()
}

/// The output of a training step.
#[derive(Clone, Debug)]
pub enum StepOutput {
    /// The figures of the step.
    Done(StepFigures),
    /// The error of a failed step, which has no gradients.
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

/// The output of a validation: the features of a batch, or the score over all batches.
#[derive(Clone, Debug, Default)]
pub struct ValidationOutput {
    /// Features of the images of a batch, row by row.
    pub features: Vec<f32>,
    /// Score of the held-out images in percent: see [`Validating`](crate::methods::Validating).
    pub score: f64,
    /// Figures that are computed after an epoch.
    pub live: LiveValues,
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

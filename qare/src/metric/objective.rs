use burn::config::Config;
use burn::module::{Content, Module, ModuleDisplay};
use burn::tensor::{Int, Tensor, backend::Backend};
use qare_host::computes_on_host;

use super::{IdentitySets, MetricLoss, MetricLossConfig};
use crate::inspection::in_range;
use crate::rounding::at_least_f32;
use crate::{ObjectiveError, ObjectiveOutput, Qare, QareConfig, Views};

/// Configuration of [`MetricObjective`]: a loss with labels, and the set term or none.
#[derive(Config, Debug)]
pub struct MetricObjectiveConfig {
    /// What compares images one by one.
    pub loss: MetricLossConfig,
    /// What compares them as sets, if anything does.
    #[config(default = "None")]
    pub qare: Option<QareConfig>,
    /// Weight β of the set term.
    #[config(default = 1.0)]
    pub beta: f64,
    /// K, the number of view sets that [`MetricObjective::forward`] makes of the labels: 2 or more.
    #[config(default = 2)]
    pub sets: usize,
}

impl MetricObjectiveConfig {
    /// The objective, with the proxies of the loss, if it has any, on the device.
    ///
    /// # Errors
    /// When the weight is not finite, there are fewer than two sets, or a number of the loss is out of range.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MetricObjective<B>, ObjectiveError> {
        if !self.beta.is_finite() {
            let (parameter, value) = ("the weight beta", self.beta);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "finite" });
        }
        Views::new(self.sets)?;
        Ok(MetricObjective {
            loss: self.loss.init(device)?,
            qare: self.qare.as_ref().map(QareConfig::init),
            beta: self.beta,
            sets: self.sets,
        })
    }
}

/// loss + β·QARe of a labelled batch, or the loss alone.
///
/// The loss compares all images of the batch. The set term is [`Qare`] of view sets that have one image of each identity: see [`IdentitySets`].
///
/// Source: Moskalev, Sosnovik, Fischer, Smeulders, "Contrasting quadratic assignments for set-based representation
/// learning" (ECCV 2022), section 3.4.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MetricObjective<B: Backend> {
    /// What compares images one by one, with the proxies that it learns.
    pub loss: MetricLoss<B>,
    qare: Option<Qare>,
    beta: f64,
    sets: usize,
}

impl<B: Backend> ModuleDisplay for MetricObjective<B> {
    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = self.loss.described(content);
        match &self.qare {
            Some(qare) => content.add("qare", qare).add("beta", &self.beta).add("sets", &self.sets).optional(),
            None => content.optional(),
        }
    }
}

impl<B: Backend> MetricObjective<B> {
    /// The objective and its terms for embeddings `[N, D]` with labels `[N]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// The view sets are [`IdentitySets::of_labels`], for which the labels are read; without a set term nothing is. A batch with fewer than two
    /// identities of K images has no set term: the output's `qare` is then `None`, and its loss the pairwise one.
    ///
    /// # Errors
    /// As [`MetricLoss::forward`] and [`Qare::forward`], and when the sum leaves the range of its type.
    pub fn forward(
        &self,
        embeddings: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let pairwise = self.loss.forward(embeddings.clone(), labels.clone())?;
        let sets = match &self.qare {
            Some(_) => {
                let read: Vec<i64> = labels.into_data().iter::<i64>().collect();
                IdentitySets::of_labels(&read, Views::new(self.sets)?).select(embeddings)?
            }
            None => None,
        };
        self.output(pairwise, sets, Views::new(self.sets)?)
    }

    /// As [`forward`](Self::forward), with view sets that are known already, so that no label is read.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`IdentitySets::select`].
    pub fn forward_sets(
        &self,
        embeddings: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
        sets: &IdentitySets,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let pairwise = self.loss.forward(embeddings.clone(), labels)?;
        let of_sets = match &self.qare {
            Some(_) => sets.select(embeddings)?,
            None => None,
        };
        self.output(pairwise, of_sets, sets.views())
    }

    /// The objective and its terms for two view sets `[B, D]` with labels `[B]`: row i of both is an image of one identity.
    ///
    /// As in the paper, the loss contrasts the sets with each other, and the set term has the similarities within either: see
    /// [`MetricLoss::forward_pair`].
    ///
    /// # Errors
    /// As [`MetricLoss::forward_pair`] and [`Qare::forward`], and when the sum leaves the range of its type.
    pub fn forward_pair(
        &self,
        first: Tensor<B, 2>,
        second: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let pairwise = self.loss.forward_pair(first.clone(), second.clone(), labels)?;
        let sets = match &self.qare {
            Some(_) => Some(Views::interleave(first, second)?),
            None => None,
        };
        self.output(pairwise, sets, Views::PAIR)
    }

    /// Given the rows of the view sets `[K·B, D]`, if there is a set term of them.
    fn output(
        &self,
        pairwise: Tensor<B, 1>,
        sets: Option<Tensor<B, 2>>,
        views: Views,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let qare = match (&self.qare, sets) {
            (Some(qare), Some(sets)) => Some(qare.forward(at_least_f32(sets), views)?),
            _ => None,
        };
        let loss = match &qare {
            Some(qare) => pairwise.clone() + qare.clone() * self.beta,
            None => pairwise.clone(),
        };
        if computes_on_host::<B>(&loss.device()) {
            in_range(&loss, "the weighted sum of the terms")?;
        }
        Ok(ObjectiveOutput { loss, pairwise: pairwise.detach(), qare: qare.map(Tensor::detach) })
    }
}

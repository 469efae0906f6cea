//! A model in training, made and stepped as `pretrain` does, on one batch of views that is there already.

use burn::optim::Optimizer;
use burn::tensor::{Distribution, Int, Tensor};
use burn_train::TrainStep;
use qare_data::{EpochCursor, Share, ViewBatch};
use qare_models::BackboneName;

use crate::backend::{Device, Training};
use crate::error::{AppError, Result};
use crate::methods::{Facts, Method, Networks};
use crate::model::PretextModel;
use crate::optimizer::{SharedOptimizer, with_stable_ids};
use crate::precision::Precision;
use crate::recipe::Recipe;
use crate::step::StepOutput;

type Model = PretextModel<Training>;

/// Trains on the same views again and again.
pub struct Trainer {
    /// Absent only within a step.
    model: Option<Model>,
    optimizer: SharedOptimizer<Model, Training>,
    learning_rate: f64,
    batch: ViewBatch<Training>,
}

impl Trainer {
    /// For views of so many CIFAR-sized images of noise.
    pub fn new(
        method: Method,
        backbone: BackboneName,
        images: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        let recipe = Recipe { method, backbone, batch_size: images, precision, ..Recipe::default() };
        let facts = Facts { images, classes: 10, epoch: EpochCursor::default() };
        let plan = method.plan(&recipe).expect("what is measured trains");
        let networks = Networks::new(&recipe, &facts, device)?.expect("what is measured trains something");
        let model = PretextModel::new(backbone.init(recipe.seed, device), networks, plan.figures, precision);
        let noise = Distribution::Normal(0.0, 1.0);
        Ok(Self {
            model: Some(with_stable_ids(model)),
            optimizer: SharedOptimizer::new(plan.rule),
            learning_rate: recipe.learning_rate,
            batch: ViewBatch {
                images: Tensor::random([images, plan.views, 3, 32, 32], noise, device),
                labels: Tensor::<Training, 1, Int>::zeros([images], device),
                indices: (0..images).collect(),
                share: Share::whole(images),
            },
        })
    }

    /// Forward, objective, backward and the update of the weights.
    pub fn step(&mut self) -> Result<()> {
        let model = self.model.take().expect("the last step ended well");
        let output = model.step(self.batch.clone());
        if let StepOutput::Failed(message) = output.item {
            return Err(AppError::Failed(message));
        }
        self.model = Some(self.optimizer.step(self.learning_rate, model, output.grads));
        Ok(())
    }
}

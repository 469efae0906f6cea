//! A model that takes training steps as `pretrain` does, on one fixed batch of views.

use burn::tensor::{Distribution, Int, Tensor};
use qare::SetTerm;
use qare_data::{Share, ViewBatch};
use qare_lab::Result;
use qare_lab::methods::{Facts, Method, Networks, Pretext};
use qare_lab::precision::Precision;
use qare_lab::recipe::Recipe;
use qare_lab::training::model::PretextModel;
use qare_lab::training::optimizer::with_stable_ids;
use qare_lab::training::state::TrainingState;
use qare_models::BackboneName;

use crate::backend::{Device, Training};

type State = TrainingState<Training, Networks<Training>>;

/// Trains on the same batch in every step.
pub struct Trainer {
    /// `None` only during a step.
    state: Option<State>,
    learning_rate: f64,
    batch: ViewBatch<Training>,
}

impl Trainer {
    /// A trainer on views of `images` CIFAR-sized images of noise.
    pub fn new(
        method: Method,
        set_term: SetTerm,
        backbone: BackboneName,
        images: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        let protocol = Recipe::default();
        let recipe = Recipe { method: method.into(), set_term, backbone, batch_size: images, precision, ..protocol };
        let facts = Facts { images, classes: 10 };
        let plan = method.plan(&recipe).expect("the measured methods train");
        let networks = Networks::new(&recipe, &facts, device)?;
        let backbone = backbone.init(recipe.seed, device);
        let model = with_stable_ids(PretextModel::new(backbone, networks, plan.figures.clone(), precision));
        let noise = Distribution::Normal(0.0, 1.0);
        Ok(Self {
            state: Some(TrainingState::new(model, &plan, precision)),
            learning_rate: recipe.learning_rate,
            batch: ViewBatch {
                images: Tensor::random([images, plan.views, 3, 32, 32], noise, device),
                labels: Tensor::<Training, 1, Int>::zeros([images], device),
                indices: (0..images).collect(),
                epoch: 1,
                share: Share::whole(images),
            },
        })
    }

    /// Takes one step: forward, objective, backward and the update of the weights.
    pub fn step(&mut self) -> Result<()> {
        let state = self.state.take().expect("the last step succeeded");
        let step = state.differentiate(self.batch.clone())?;
        self.state = Some(state.after(step.gradients, step.finite.as_ref(), self.learning_rate));
        Ok(())
    }
}

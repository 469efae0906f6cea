//! A model that takes training steps as `pretrain` does, on one fixed batch of views.

use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use qare::{SetTerm, SimilarityFloor};
use qare_data::{Share, ViewBatch};
use qare_lab::Result;
use qare_lab::evaluation::features::{self, Features};
use qare_lab::methods::{EpochStart, Facts, Floor, Method, Networks, Pretext};
use qare_lab::precision::Precision;
use qare_lab::recipe::Recipe;
use qare_lab::training::model::PretextModel;
use qare_lab::training::optimizer::with_stable_ids;
use qare_lab::training::state::TrainingState;
use qare_models::{Backbone, BackboneName};

use crate::backend::{Device, Plain, Training};

type State = TrainingState<Training, Networks<Training>>;

/// Number of classes of the images.
const CLASSES: usize = 10;

/// What a trainer trains.
#[derive(Clone, Debug)]
pub struct Work {
    pub method: Method,
    pub set_term: SetTerm,
    pub floor: SimilarityFloor,
    pub backbone: BackboneName,
    /// Number of images in a batch, B.
    pub images: usize,
    /// Pixels of an image's side.
    pub side: usize,
    pub precision: Precision,
}

impl Work {
    /// Training on CIFAR-sized images.
    pub fn new(method: Method, backbone: BackboneName, images: usize, precision: Precision) -> Self {
        let (set_term, floor) = (SetTerm::default(), Floor::default().0);
        Self { method, set_term, floor, backbone, images, side: 32, precision }
    }

    /// The settings of the protocol, with the method's own defaults, but for the number of images and of relationnet's views.
    fn recipe(&self) -> Recipe {
        let Self { method, set_term, floor, backbone, images, precision, .. } = *self;
        let mut recipe = Recipe {
            method: method.into(),
            set_term,
            similarity_floor: Floor(floor),
            backbone,
            batch_size: images,
            precision,
            ..Default::default()
        };
        method.set_defaults(&mut recipe);
        if method == Method::Relationnet {
            // Its 32 views of each image would make a row of minutes.
            recipe.views = 4;
        }
        recipe.batch_size = images;
        recipe
    }
}

/// Trains on the same batch in every step.
pub struct Trainer {
    /// `None` only during a step.
    state: Option<State>,
    learning_rate: f64,
    precision: Precision,
    batch: ViewBatch<Training>,
}

impl Trainer {
    /// A trainer on views of noise.
    pub fn new(work: &Work, device: &Device) -> Result<Self> {
        let Work { method, images, side, precision, .. } = *work;
        let recipe = work.recipe();
        let plan = method.plan(&recipe).expect("the measured methods train");
        let classes = plan.images_per_identity.map_or(CLASSES, |count| images / count);
        let networks = Networks::new(&recipe, &Facts { images, classes }, device)?;
        let backbone = work.backbone.init(recipe.seed, device);
        let model = with_stable_ids(PretextModel::new(backbone, networks, plan.figures.clone(), precision));
        let noise = |shape| Tensor::<Training, 2>::random(shape, Distribution::Normal(0.0, 1.0), device);
        // Images of one identity follow each other.
        let labels: Vec<i64> = (0..images).map(|image| (image * classes / images) as i64).collect();
        let mut features = || {
            let dim = work.backbone.feature_dim();
            Ok(Features { values: features::values(noise([images, dim])), dim, labels: vec![0; images] })
        };
        // The device of some backends is `Copy`, that of others is not.
        let device_of_start = device.to_owned();
        let mut start = EpochStart { epoch: 1, seed: recipe.seed, device: device_of_start, features: &mut features };
        let state = TrainingState::new(model, &plan, precision).begin_epoch(&mut start)?;
        let pixels = noise([images, plan.views * 3 * side * side]);
        Ok(Self {
            state: Some(state),
            learning_rate: recipe.learning_rate,
            precision,
            batch: ViewBatch {
                images: pixels.reshape([images, plan.views, 3, side, side]),
                labels: Tensor::<Training, 1, Int>::from_data(TensorData::new(labels, [images]), device),
                indices: (0..images).collect(),
                epoch: 1,
                share: Share::whole(images),
            },
        })
    }

    /// Number of views in a batch, K·B.
    pub fn views(&self) -> usize {
        let [images, views, ..] = self.batch.images.dims();
        images * views
    }

    /// Takes one step: forward, objective, backward and the update of the weights.
    pub fn step(&mut self) -> Result<()> {
        let state = self.state.take().expect("the last step succeeded");
        let step = state.differentiate(self.batch.clone())?;
        self.state = Some(state.after(step.gradients, step.finite.as_ref(), self.learning_rate));
        Ok(())
    }

    /// Returns work that computes the features of the batch's views with the backbone as it is now, in evaluation mode, as for one of
    /// many batches.
    pub fn embedding(&self) -> impl Fn() -> Result<()> {
        let backbone: Backbone<Plain> = self.state.as_ref().expect("the last step succeeded").model.backbone.valid();
        let [images, views, channels, height, width] = self.batch.images.dims();
        let pixels = self.batch.images.clone().inner().reshape([images * views, 1, channels, height, width]);
        let precision = self.precision;
        let kept = qare_models::keep_weights();
        move || {
            let _ = &kept;
            features::of_batch(&backbone, pixels.clone(), precision);
            Ok(())
        }
    }
}

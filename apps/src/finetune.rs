//! Fine-tuning: backbone and classifier learn from labels together.

use burn::data::dataloader::DataLoader;
use burn::module::AutodiffModule;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::Optimizer;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::cast::ToElement;
use qare_data::{Augmentation, DatasetName, EpochCursor, ImageSet, LoaderConfig, RandomErasing, ViewLoader};
use qare_models::{Backbone, LinearClassifier, LinearClassifierConfig};

use crate::error::{AppError, Result};
use crate::loss_scale::LossScale;
use crate::optimizer::decaying_adam;
use crate::precision::single;
use crate::progress::bar;
use crate::recipe::Recipe;
use crate::schedule::StepDecay;

/// Rates of Adam at the start; both are divided by ten after half and three quarters of the epochs.
pub const BACKBONE_RATE: f64 = 1e-3;
pub const CLASSIFIER_RATE: f64 = 1e-4;
const DROPS: [f64; 2] = [0.5, 0.75];
const WEIGHT_DECAY: f32 = 1e-5;

/// Affine views, with an erased square where the reference knows one of a size that suits the dataset.
pub fn affine(dataset: DatasetName) -> Augmentation {
    let erase = match dataset {
        DatasetName::Stl10 => Some(RandomErasing::STL10),
        DatasetName::Cifar100 | DatasetName::Supercifar100 => Some(RandomErasing::CIFAR100),
        DatasetName::Cifar10 => Some(RandomErasing::CIFAR10),
        // The reference has no size for the others.
        _ => None,
    };
    Augmentation::Affine { erase }
}

/// A backbone and the classifier it was tuned with.
type Tuned<B> = (Backbone<B>, LinearClassifier<B>);

/// Trains a backbone and a new classifier on labelled images.
pub fn finetune<B: AutodiffBackend>(
    backbone: Backbone<B>,
    images: &ImageSet,
    recipe: &Recipe,
    device: &B::Device,
) -> Result<Tuned<B::InnerBackend>> {
    if images.len() < 2 {
        return Err(AppError::Failed("fine-tuning needs at least 2 training images".into()));
    }
    let seed = recipe.probe_seed();
    let config = LoaderConfig {
        batch_size: recipe.probe.batch_size,
        views: 1,
        seed,
        workers: recipe.num_workers,
        shuffle: true,
        drop_last: images.len() % recipe.probe.batch_size == 1,
        augmentation: if recipe.probe.augment { affine(recipe.probed()) } else { Augmentation::None },
        normalization: recipe.probed().normalization(),
    };
    let epoch = EpochCursor::default();
    let loader = ViewLoader::<B>::new(images.clone(), config, epoch.clone(), device)?;
    let epochs = recipe.probe.epochs;
    let rates = StepDecay::new(1.0, &DROPS, epochs, 1, 0);

    let mut backbone = backbone;
    let mut classifier = LinearClassifierConfig::new(backbone.feature_dim(), images.classes()).init::<B>(seed, device);
    let mut tune = decaying_adam(WEIGHT_DECAY).init::<B, Backbone<B>>();
    let mut learn = decaying_adam(WEIGHT_DECAY).init::<B, LinearClassifier<B>>();
    let cross_entropy = CrossEntropyLossConfig::new().init::<B>(device);
    let loss_scale = LossScale::new(recipe.precision);
    let progress = bar((epochs * loader.num_batches()) as u64, "fine-tuning {msg} [{bar:25}] {eta} left");
    for number in 1..=epochs {
        epoch.set(number as u64);
        let rate = rates.at(number - 1);
        for (step, batch) in loader.iter().enumerate() {
            let images = recipe.precision.of(batch.images.squeeze_dim(1));
            let logits = classifier.forward(backbone.forward(images)); // [B, classes]
            let loss = cross_entropy.forward(single(logits), batch.labels);
            let value = loss.clone().into_scalar().to_f64();
            let failed = |what: String| {
                let step = step + 1;
                AppError::Failed(format!("step {step} of epoch {number} of fine-tuning: {what}; nothing was saved"))
            };
            if !value.is_finite() {
                return Err(failed(format!("the loss is {value}")));
            }
            let mut differentiated = loss_scale.backward(loss);
            let of_backbone = differentiated.of(&backbone);
            let of_classifier = differentiated.of(&classifier);
            if differentiated.are_good().map_err(failed)? {
                backbone = tune.step(rate * BACKBONE_RATE, backbone, of_backbone);
                classifier = learn.step(rate * CLASSIFIER_RATE, classifier, of_classifier);
            }
            progress.set_message(format!("epoch {number}/{epochs}, loss {value:.4}"));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok((backbone.valid(), classifier.valid()))
}

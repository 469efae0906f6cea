//! Dataset → loader → objective → probe: a custom training loop built from qare's parts.
//!
//!     cargo run --release --package qare-lab --example train_and_probe

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn_flex::Flex;
use qare::{ContrastiveObjectiveConfig, Views};
use qare_data::{Augmentation, DatasetName, EpochCursor, LoadOptions, LoaderConfig, ViewLoader};
use qare_lab::evaluation::{features, probe, softmax_regression};
use qare_lab::precision::Precision;
use qare_lab::progress::ignore;
use qare_lab::recipe::ProbeRecipe;
use qare_lab::training::optimizer::adam;
use qare_models::{BackboneName, ProjectionHeadConfig};

type B = Autodiff<Flex>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (seed, device, dataset) = (1, Default::default(), DatasetName::Shapes);
    let (splits, normalization) = (qare_data::load(dataset, &LoadOptions::default())?, dataset.normalization());
    let config = LoaderConfig {
        batch_size: 128,
        views: 2,
        seed,
        workers: 1,
        shuffle: true,
        drop_last: true,
        augmentation: Augmentation::Contrastive,
        normalization,
    };
    let loader = ViewLoader::<B>::new(splits.train.clone(), config, EpochCursor::default(), &device)?;
    let mut backbone = BackboneName::Conv4.init::<B>(seed, &device);
    let mut head = ProjectionHeadConfig::new(backbone.feature_dim()).init::<B>(seed, &device);
    let (mut backbone_optimizer, mut head_optimizer) = (adam().init(), adam().init());
    let objective = ContrastiveObjectiveConfig::simclr_qare(1.0, 0.5).init()?;

    for epoch in 1..=5 {
        let (mut sum, mut steps) = (0.0, 0);
        for batch in loader.epoch(epoch) {
            let images = Views::PAIR.rows(batch.images); // [2·B, 3, H, W]
            let loss = objective.forward(head.forward(backbone.forward(images)), Views::PAIR)?.loss;
            sum += loss.clone().into_scalar();
            steps += 1;
            let mut gradients = loss.backward();
            let backbone_gradients = GradientsParams::from_module(&mut gradients, &backbone);
            let head_gradients = GradientsParams::from_module(&mut gradients, &head);
            backbone = backbone_optimizer.step(1e-3, backbone, backbone_gradients);
            head = head_optimizer.step(1e-3, head, head_gradients);
        }
        println!("epoch {epoch}: loss {:.4}", sum / steps as f32);
    }

    let backbone = backbone.valid();
    let extract = |images| features::extract(&backbone, images, normalization, Precision::F32, 1, &device);
    let (train, test) = (extract(&splits.train)?, extract(&splits.test)?);
    let recipe = ProbeRecipe::default();
    let classifier = softmax_regression::train::<Flex>(&train, splits.train.classes(), &recipe, seed, &device, &ignore);
    println!("linear probe: {:.2} %", probe::evaluate(&classifier, &test, &device).accuracy);
    Ok(())
}

//! The order of the images, their views and the initial weights depend on the seed alone and are bitwise equal on all
//! backends.

use burn::data::dataloader::DataLoader;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_data::{
    Augmentation, DatasetName, EpochCursor, ImageSet, LoadOptions, LoaderConfig, RandomErasing, ViewLoader,
};
use qare_models::{
    BackboneName, DiscriminatorsConfig, LinearClassifierConfig, NamedTensor, ProjectionHeadConfig, RelationHeadConfig,
    named_tensors,
};

use crate::Plain;

fn images() -> ImageSet {
    qare_data::load(DatasetName::Shapes, &LoadOptions::default()).unwrap().train.select(&(0..50).collect::<Vec<_>>())
}

/// Indices, shape, and the pixels as bits.
type Batch = (Vec<usize>, Vec<usize>, Vec<u32>);

/// The batches of two epochs.
fn batches<B: Backend>(augmentation: Augmentation, views: usize) -> Vec<Batch> {
    let config = LoaderConfig {
        batch_size: 16,
        views,
        seed: 7,
        workers: 2,
        shuffle: true,
        drop_last: false,
        augmentation,
        normalization: DatasetName::Shapes.normalization(),
    };
    let epoch = EpochCursor::default();
    let loader = ViewLoader::<B>::new(images(), config, epoch.clone(), &Default::default()).unwrap();
    let mut all = Vec::new();
    for number in [1, 2] {
        epoch.set(number);
        for batch in loader.iter() {
            let data = batch.images.into_data();
            let shape = data.shape.to_vec();
            all.push((batch.indices, shape, data.iter::<f32>().map(f32::to_bits).collect()));
        }
    }
    all
}

#[test]
fn the_order_of_the_images_and_their_views() {
    let augmentations = [
        (Augmentation::Contrastive, 2),
        (Augmentation::Contrastive, 3),
        (Augmentation::Crop, 2),
        (Augmentation::Flip, 1),
        (Augmentation::Affine { erase: Some(RandomErasing::CIFAR10) }, 1),
        (Augmentation::None, 1),
    ];
    for (augmentation, views) in augmentations {
        let here = batches::<Plain>(augmentation, views);
        assert!(here.len() == 8 && here[0].0 != here[4].0, "expected two epochs of four batches, in different orders");
        assert!(here == batches::<Flex>(augmentation, views), "{augmentation:?}: differs from flex");
        assert!(here == batches::<NdArray>(augmentation, views), "{augmentation:?}: differs from ndarray");
    }
}

/// The initial weights of every network that a method trains.
fn weights<B: Backend>(seed: u64) -> Vec<Vec<NamedTensor>> {
    let device = Default::default();
    let mut all: Vec<_> =
        BackboneName::ALL.iter().map(|name| named_tensors(&name.init::<B>(seed, &device), "backbone")).collect();
    all.push(named_tensors(&ProjectionHeadConfig::new(64).init::<B>(seed, &device), "head"));
    all.push(named_tensors(&LinearClassifierConfig::new(64, 10).init::<B>(seed, &device), "classifier"));
    all.push(named_tensors(&RelationHeadConfig::new(128).init::<B>(seed, &device), "relation"));
    all.push(named_tensors(&DiscriminatorsConfig::new(64, 8).init::<B>(seed, &device), "loss_fn"));
    all
}

#[test]
fn the_weights_that_training_starts_from() {
    let here = weights::<Plain>(3);
    assert!(here == weights::<Flex>(3), "differs from flex");
    assert!(here == weights::<NdArray>(3), "differs from ndarray");
    assert!(here != weights::<Plain>(4), "the weights do not depend on the seed");
}

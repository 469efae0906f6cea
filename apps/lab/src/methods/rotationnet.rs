//! `rotationnet`: predicts by which multiple of 90 degrees an image was rotated.
//!
//! Source: Gidaris, Singh & Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations" (2018).

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor, TensorData};
use qare_data::{Augmentation, ViewBatch};
use qare_models::{
    Backbone, LinearClassifier, LinearClassifierConfig, NamedTensor, StateDict, WeightsError, named_tensors,
};

use super::pretext::accuracy;
use super::{Embeddings, Facts, Figure, Plan, Pretext, Scope, StepLoss};
use crate::error::Result;
use crate::precision::single;
use crate::recipe::Recipe;

const ROTATIONS: usize = 4;

/// A linear classifier of the four rotations, trained with cross entropy on all four rotations of every image.
#[derive(Module, Debug)]
pub struct RotationNet<B: Backend> {
    head: LinearClassifier<B>,
}

/// Rotates images `[N, C, S, S]` counter-clockwise by 0, 90, 180 and 270 degrees. Returns `[4·N, C, S, S]`, ordered by rotation.
fn rotations<B: Backend>(images: Tensor<B, 4>) -> Tensor<B, 4> {
    let turned = images.clone().swap_dims(2, 3);
    let quarter = turned.clone().flip([2]);
    let half = images.clone().flip([2, 3]);
    let three_quarters = turned.flip([3]);
    Tensor::cat(vec![images, quarter, half, three_quarters], 0)
}

/// Returns the rotation of each row of [`rotations`], `[4·N]`.
fn targets<B: Backend>(images: usize, device: &Device<B>) -> Tensor<B, 1, Int> {
    let targets: Vec<i64> = (0..ROTATIONS as i64).flat_map(|rotation| vec![rotation; images]).collect();
    Tensor::from_data(TensorData::new(targets, [ROTATIONS * images]), device)
}

/// Does nothing: the method follows the common protocol.
pub(super) fn set_defaults(_recipe: &mut Recipe) {}

/// Returns the training plan of the method.
pub(super) fn plan(_recipe: &Recipe) -> Plan {
    Plan::new(Augmentation::Crop, 1).with_figures([Figure::accuracy("Accuracy")])
}

impl<B: Backend> Pretext<B> for RotationNet<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let head = LinearClassifierConfig::new(recipe.backbone.feature_dim(), ROTATIONS);
        Ok(Self { head: head.init(recipe.seed, device) })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let images: Tensor<B, 4> = batch.images.squeeze_dim(1); // [B, 3, S, S]
        let targets = targets::<B>(images.dims()[0], &images.device()); // [4·B]
        let features = backbone.forward(rotations(images)); // [4·B, F]
        let embeddings = Embeddings::of(&features, 1);
        let logits = single(self.head.forward(features)); // [4·B, 4]
        let accuracy = accuracy(logits.clone(), targets.clone());
        let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, targets);
        Ok(StepLoss { loss, figures: vec![accuracy], scope: Scope::Share(batch.share.fraction()), embeddings })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.head, "head")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { head: weights.load_into(self.head, "head")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    #[test]
    fn a_quarter_turn_moves_each_pixel_to_its_place() {
        // Two 3×3 images with the pixels 0 … 8 and 9 … 17, rotated counter-clockwise.
        let pixels: Vec<f32> = (0..18).map(|value| value as f32).collect();
        let images = Tensor::<Plain, 1>::from_data(TensorData::new(pixels, [18]), &any_device()).reshape([2, 1, 3, 3]);
        let turned: Vec<f32> = rotations(images).into_data().to_vec().unwrap();
        let side = 3;
        for rotation in 0..4 {
            for image in 0..2 {
                for row in 0..side {
                    for column in 0..side {
                        let (mut r, mut c) = (row, column);
                        for _ in 0..rotation {
                            // The position of the pixel before a quarter turn.
                            (r, c) = (c, side - 1 - r);
                        }
                        let found = turned[((rotation * 2 + image) * side + row) * side + column];
                        assert_eq!(found, (image * 9 + r * side + c) as f32, "{rotation} {row} {column}");
                    }
                }
            }
        }
    }

    #[test]
    fn targets_name_the_rotations() {
        let targets: Vec<i64> = targets::<Plain>(2, &any_device()).into_data().convert::<i64>().to_vec().unwrap();
        assert_eq!(targets, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}

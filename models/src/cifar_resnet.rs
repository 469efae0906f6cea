use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::initial_weights::{InitialWeights, WeightStream};
use crate::layers::linear;
use crate::maps::{Epilogue, Maps};
use crate::residual_block::{BlockKind, ResidualBlock, conv, features, stage, with_frozen_batch_norm};

/// Residual network for small images (He et al. 2016, section 4.2): a 3×3 stem, three stages of basic blocks with 16, 32 and 64
/// channels, global average pooling and a linear layer to 64 features. The second and third stage halve the resolution.
///
/// The shortcut is a 1×1 convolution with batch normalisation where the shape changes.
#[derive(Module, Debug)]
pub struct CifarResNet<B: Backend> {
    pub(crate) conv1: Conv2d<B>,
    pub(crate) bn1: BatchNorm<B>,
    pub(crate) layer1: Vec<ResidualBlock<B>>,
    pub(crate) layer2: Vec<ResidualBlock<B>>,
    pub(crate) layer3: Vec<ResidualBlock<B>>,
    pub(crate) fc: Linear<B>,
}

impl<B: Backend> CifarResNet<B> {
    /// Number of features.
    pub const FEATURES: usize = 64;
    /// Number of maps after the first ReLU.
    pub const MAPS: usize = 16;

    /// A network with `blocks` basic blocks a stage, so 6·`blocks` + 2 layers, whose weights are a
    /// function of `seed` alone.
    ///
    /// # Panics
    ///
    /// If `blocks` is 0.
    pub fn new(blocks: usize, seed: u64, device: &B::Device) -> Self {
        assert!(blocks > 0, "a CIFAR ResNet has at least one block a stage");
        let mut weights = InitialWeights::new(seed, WeightStream::Backbone);
        let conv1 = conv(3, 16, 3, 1, &mut weights, device);
        let layer1 = stage(BlockKind::Basic, blocks, 16, 16, 1, &mut weights, device);
        let layer2 = stage(BlockKind::Basic, blocks, 16, 32, 2, &mut weights, device);
        let layer3 = stage(BlockKind::Basic, blocks, 32, 64, 2, &mut weights, device);

        let fc = weights.linear(64, Self::FEATURES, device);

        Self { conv1, bn1: BatchNorm::new(16, device), layer1, layer2, layer3, fc }
    }

    /// The network with [frozen](BatchNorm::frozen) batch normalisation.
    pub(crate) fn with_frozen_batch_norm(self) -> Self {
        Self {
            bn1: self.bn1.frozen(),
            layer1: with_frozen_batch_norm(self.layer1),
            layer2: with_frozen_batch_norm(self.layer2),
            layer3: with_frozen_batch_norm(self.layer3),
            ..self
        }
    }

    /// Features of normalised images.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → `[N, 64]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        self.features(self.stem(images))
    }

    /// Features of normalised images, with the maps after the first ReLU.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → maps `[N, 16, H, W]`, features `[N, 64]`
    pub fn forward_with_maps(&self, images: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 2>) {
        let stem = self.stem(images);
        (stem.clone().planar(), self.features(stem))
    }

    fn stem(&self, images: Tensor<B, 4>) -> Maps<B> {
        Maps::new(images).convolve(&self.conv1, &self.bn1, Epilogue::relu()) // [N, 16, H, W]
    }

    fn features(&self, stem: Maps<B>) -> Tensor<B, 2> {
        let blocks = [&self.layer1, &self.layer2, &self.layer3].into_iter().flatten();
        linear(&self.fc, features(blocks, stem))
    }
}

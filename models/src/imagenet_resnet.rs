use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::initial_weights::{InitialWeights, WeightStream};
use crate::maps::{Epilogue, Maps};
use crate::residual_block::{BlockKind, ResidualBlock, features, stage, with_frozen_batch_norm};

/// Residual network for large images (He et al. 2016, section 4.1) without its classifier, as in torchvision: a 7×7 stem of
/// stride 2, 3×3 max pooling of stride 2, four stages of blocks whose 3×3 convolutions have 64, 128, 256 and 512 channels, and global
/// average pooling. All stages but the first halve the resolution. 512 features of basic blocks, 2,048 of bottlenecks.
#[derive(Module, Debug)]
pub struct ImageNetResNet<B: Backend> {
    pub(crate) conv1: Conv2d<B>,
    pub(crate) bn1: BatchNorm<B>,
    pub(crate) layer1: Vec<ResidualBlock<B>>,
    pub(crate) layer2: Vec<ResidualBlock<B>>,
    pub(crate) layer3: Vec<ResidualBlock<B>>,
    pub(crate) layer4: Vec<ResidualBlock<B>>,
}

impl<B: Backend> ImageNetResNet<B> {
    /// Number of maps after the first ReLU.
    pub const MAPS: usize = 64;

    /// resnet18, `[2, 2, 2, 2]`, or resnet34, `[3, 4, 6, 3]`: with these numbers of basic blocks a stage. Its weights are a function
    /// of `seed` alone.
    ///
    /// # Panics
    ///
    /// If a stage has no blocks.
    pub fn basic(blocks: [usize; 4], seed: u64, device: &B::Device) -> Self {
        Self::new(BlockKind::Basic, blocks, seed, device)
    }

    /// resnet50, `[3, 4, 6, 3]`: with these numbers of bottlenecks a stage. Its weights are a function of `seed` alone.
    ///
    /// # Panics
    ///
    /// If a stage has no blocks.
    pub fn bottleneck(blocks: [usize; 4], seed: u64, device: &B::Device) -> Self {
        Self::new(BlockKind::Bottleneck, blocks, seed, device)
    }

    fn new(kind: BlockKind, blocks: [usize; 4], seed: u64, device: &B::Device) -> Self {
        assert!(!blocks.contains(&0), "an ImageNet ResNet has at least one block a stage");
        let mut weights = InitialWeights::new(seed, WeightStream::Backbone);
        let mut conv1 = Conv2dConfig::new([3, Self::MAPS], [7, 7])
            .with_stride([2, 2])
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .with_bias(false)
            .init(device);
        conv1.weight = weights.conv([Self::MAPS, 3, 7, 7], device);
        let mut stage = |number: usize, c_in: usize, width: usize| {
            let stride = if number == 0 { 1 } else { 2 };
            stage(kind, blocks[number], c_in, width, stride, &mut weights, device)
        };
        let expansion = kind.expansion();
        Self {
            conv1,
            bn1: BatchNorm::new(Self::MAPS, device),
            layer1: stage(0, Self::MAPS, 64),
            layer2: stage(1, 64 * expansion, 128),
            layer3: stage(2, 128 * expansion, 256),
            layer4: stage(3, 256 * expansion, 512),
        }
    }

    /// Number of features.
    pub fn feature_dim(&self) -> usize {
        let last = self.layer4.last().expect("a stage has blocks");
        last.bn3.as_ref().unwrap_or(&last.bn2).weight.dims()[0]
    }

    /// The network with [frozen](BatchNorm::frozen) batch normalisation.
    pub(crate) fn with_frozen_batch_norm(self) -> Self {
        Self {
            bn1: self.bn1.frozen(),
            layer1: with_frozen_batch_norm(self.layer1),
            layer2: with_frozen_batch_norm(self.layer2),
            layer3: with_frozen_batch_norm(self.layer3),
            layer4: with_frozen_batch_norm(self.layer4),
            ..self
        }
    }

    /// Features of normalised images.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → `[N, F]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        self.features(self.stem(images))
    }

    /// Features of normalised images, and the maps after the first ReLU, before the max pooling.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → maps `[N, 64, ⌈H/2⌉, ⌈W/2⌉]`, features `[N, F]`
    pub fn forward_with_maps(&self, images: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 2>) {
        let stem = self.stem(images);
        (stem.clone().planar(), self.features(stem))
    }

    /// `[N, 3, H, W]` → `[N, 64, ⌈H/2⌉, ⌈W/2⌉]`
    fn stem(&self, images: Tensor<B, 4>) -> Maps<B> {
        Maps::new(images).convolve(&self.conv1, &self.bn1, Epilogue::relu())
    }

    /// Features of the maps of the stem, pooled to `[N, 64, ⌈H/4⌉, ⌈W/4⌉]`.
    fn features(&self, stem: Maps<B>) -> Tensor<B, 2> {
        let blocks = [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten();
        features(blocks, stem.max_pool())
    }
}

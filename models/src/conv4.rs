use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::initial_weights::{InitialWeights, WeightStream};
use crate::maps::{Epilogue, Maps};

/// Four blocks of Conv3×3 → BatchNorm → ReLU with 8, 16, 32 and 64 channels; 2×2 average pooling
/// after the first three, global average pooling after the last. 64 features.
#[derive(Module, Debug)]
pub struct Conv4<B: Backend> {
    pub(crate) layer1: ConvBlock<B>,
    pub(crate) layer2: ConvBlock<B>,
    pub(crate) layer3: ConvBlock<B>,
    pub(crate) layer4: ConvBlock<B>,
}

impl<B: Backend> Conv4<B> {
    /// Number of features.
    pub const FEATURES: usize = 64;
    /// Number of maps after the first ReLU.
    pub const MAPS: usize = 8;

    /// A network whose weights are a function of `seed` alone.
    pub fn new(seed: u64, device: &B::Device) -> Self {
        let mut weights = InitialWeights::new(seed, WeightStream::Backbone);
        Self {
            layer1: ConvBlock::new(3, Self::MAPS, &mut weights, device),
            layer2: ConvBlock::new(Self::MAPS, 16, &mut weights, device),
            layer3: ConvBlock::new(16, 32, &mut weights, device),
            layer4: ConvBlock::new(32, Self::FEATURES, &mut weights, device),
        }
    }

    /// The network with [frozen](BatchNorm::frozen) batch normalisation.
    pub(crate) fn with_frozen_batch_norm(self) -> Self {
        let frozen = |block: ConvBlock<B>| ConvBlock { bn: block.bn.frozen(), ..block };
        Self {
            layer1: frozen(self.layer1),
            layer2: frozen(self.layer2),
            layer3: frozen(self.layer3),
            layer4: frozen(self.layer4),
        }
    }

    /// Features of normalised images. H and W are at least 8.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → `[N, 64]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        self.features(self.layer1.forward(Maps::new(images), Epilogue::relu().halve()))
    }

    /// Features of normalised images, with the maps after the first ReLU, before pooling.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → maps `[N, 8, H, W]`, features `[N, 64]`
    pub fn forward_with_maps(&self, images: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 2>) {
        let maps = self.layer1.forward(Maps::new(images), Epilogue::relu()); // [N, 8, H, W]
        (maps.clone().planar(), self.features(maps.halve()))
    }

    /// Features of the pooled output of the first block, `[N, 8, H/2, W/2]`.
    fn features(&self, x: Maps<B>) -> Tensor<B, 2> {
        let x = self.layer2.forward(x, Epilogue::relu().halve()); // [N, 16, H/4, W/4]
        let x = self.layer3.forward(x, Epilogue::relu().halve()); // [N, 32, H/8, W/8]
        self.layer4.forward(x, Epilogue::relu().average()).features() // [N, 64]
    }
}

/// Conv3×3 (padding 1, no bias) → BatchNorm → ReLU.
#[derive(Module, Debug)]
pub struct ConvBlock<B: Backend> {
    pub(crate) conv: Conv2d<B>,
    pub(crate) bn: BatchNorm<B>,
}

impl<B: Backend> ConvBlock<B> {
    fn new(c_in: usize, c_out: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        let mut conv = Conv2dConfig::new([c_in, c_out], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(false)
            .init(device);
        conv.weight = weights.conv([c_out, c_in, 3, 3], device);
        Self { conv, bn: BatchNorm::new(c_out, device) }
    }

    fn forward(&self, x: Maps<B>, epilogue: Epilogue<B>) -> Maps<B> {
        x.convolve(&self.conv, &self.bn, epilogue)
    }
}

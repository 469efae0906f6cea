use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::global_pool::global_average;
use crate::initial_weights::{InitialWeights, WeightStream};

/// Residual network for small images (He et al. 2016, section 4.2): a 3×3 stem, three stages of
/// basic blocks with 16, 32 and 64 channels, the second and third stage at half the resolution of
/// the one before, global average pooling and a linear layer to 64 features.
///
/// The shortcut is a 1×1 convolution with batch normalisation where the shape changes.
#[derive(Module, Debug)]
pub struct CifarResNet<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    layer1: Vec<BasicBlock<B>>,
    layer2: Vec<BasicBlock<B>>,
    layer3: Vec<BasicBlock<B>>,
    fc: Linear<B>,
}

impl<B: Backend> CifarResNet<B> {
    /// Number of features.
    pub const FEATURES: usize = 64;

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
        let layer1 = stage(blocks, 16, 16, 1, &mut weights, device);
        let layer2 = stage(blocks, 16, 32, 2, &mut weights, device);
        let layer3 = stage(blocks, 32, 64, 2, &mut weights, device);

        let fc = weights.linear(64, Self::FEATURES, device);

        Self { conv1, bn1: BatchNorm::new(16, device), layer1, layer2, layer3, fc }
    }

    /// Features of normalised images, `[N, 3, H, W]` → `[N, 64]`.
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let stem = relu(self.bn1.forward(self.conv1.forward(images))); // [N, 16, H, W]
        let maps =
            [&self.layer1, &self.layer2, &self.layer3].into_iter().flatten().fold(stem, |x, block| block.forward(x)); // [N, 64, H/4, W/4]
        self.fc.forward(global_average(maps))
    }
}

/// Two 3×3 convolutions with batch normalisation, and a shortcut around them.
#[derive(Module, Debug)]
pub struct BasicBlock<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    conv2: Conv2d<B>,
    bn2: BatchNorm<B>,
    // A pair, so that its members are named `downsample.0` and `downsample.1`.
    downsample: Option<(Conv2d<B>, BatchNorm<B>)>,
}

impl<B: Backend> BasicBlock<B> {
    fn new(c_in: usize, c_out: usize, stride: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        let conv1 = conv(c_in, c_out, 3, stride, weights, device);
        let conv2 = conv(c_out, c_out, 3, 1, weights, device);
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| (conv(c_in, c_out, 1, stride, weights, device), BatchNorm::new(c_out, device)));
        Self { conv1, bn1: BatchNorm::new(c_out, device), conv2, bn2: BatchNorm::new(c_out, device), downsample }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => bn.forward(conv.forward(x.clone())),
            None => x.clone(),
        };
        let y = relu(self.bn1.forward(self.conv1.forward(x)));
        let y = self.bn2.forward(self.conv2.forward(y));
        relu(y + shortcut)
    }
}

fn stage<B: Backend>(
    blocks: usize,
    c_in: usize,
    c_out: usize,
    stride: usize,
    weights: &mut InitialWeights,
    device: &B::Device,
) -> Vec<BasicBlock<B>> {
    (0..blocks)
        .map(|i| match i {
            0 => BasicBlock::new(c_in, c_out, stride, weights, device),
            _ => BasicBlock::new(c_out, c_out, 1, weights, device),
        })
        .collect()
}

/// A k×k convolution without bias that keeps the resolution but for its stride.
fn conv<B: Backend>(
    c_in: usize,
    c_out: usize,
    k: usize,
    stride: usize,
    weights: &mut InitialWeights,
    device: &B::Device,
) -> Conv2d<B> {
    let pad = k / 2;
    let mut conv = Conv2dConfig::new([c_in, c_out], [k, k])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device);
    conv.weight = weights.conv([c_out, c_in, k, k], device);
    conv
}

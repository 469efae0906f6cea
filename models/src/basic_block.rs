use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::initial_weights::InitialWeights;
use crate::maps::{Epilogue, Maps};

/// Two 3×3 convolutions with batch normalisation, and a shortcut around them (He et al. 2016).
///
/// The shortcut is a 1×1 convolution with batch normalisation where the shape changes.
#[derive(Module, Debug)]
pub struct BasicBlock<B: Backend> {
    pub(crate) conv1: Conv2d<B>,
    pub(crate) bn1: BatchNorm<B>,
    pub(crate) conv2: Conv2d<B>,
    pub(crate) bn2: BatchNorm<B>,
    // A pair, so that the parameters are named `downsample.0` and `downsample.1`, as in PyTorch.
    pub(crate) downsample: Option<(Conv2d<B>, BatchNorm<B>)>,
}

impl<B: Backend> BasicBlock<B> {
    fn new(c_in: usize, c_out: usize, stride: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        let conv1 = conv(c_in, c_out, 3, stride, weights, device);
        let conv2 = conv(c_out, c_out, 3, 1, weights, device);
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| (conv(c_in, c_out, 1, stride, weights, device), BatchNorm::new(c_out, device)));
        Self { conv1, bn1: BatchNorm::new(c_out, device), conv2, bn2: BatchNorm::new(c_out, device), downsample }
    }

    /// The block with [frozen](BatchNorm::frozen) batch normalisation.
    pub(crate) fn with_frozen_batch_norm(self) -> Self {
        let downsample = self.downsample.map(|(conv, bn)| (conv, bn.frozen()));
        Self { bn1: self.bn1.frozen(), bn2: self.bn2.frozen(), downsample, ..self }
    }

    /// The output maps, globally average pooled after the last block.
    pub(crate) fn forward(&self, x: Maps<B>, last: bool) -> Maps<B> {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => x.clone().convolve(conv, bn, Epilogue::none()),
            None => x.clone(),
        };
        let y = x.convolve(&self.conv1, &self.bn1, Epilogue::relu());
        let epilogue = Epilogue::add_and_relu(shortcut);
        y.convolve(&self.conv2, &self.bn2, if last { epilogue.average() } else { epilogue })
    }
}

/// The output of a sequence of blocks, globally average pooled, `[N, C]`.
pub(crate) fn features<'a, B: Backend>(
    blocks: impl DoubleEndedIterator<Item = &'a BasicBlock<B>>,
    maps: Maps<B>,
) -> Tensor<B, 2> {
    let mut blocks = blocks;
    let last = blocks.next_back().expect("a network has blocks");
    let maps = blocks.fold(maps, |maps, block| block.forward(maps, false));
    last.forward(maps, true).features()
}

/// A stage of basic blocks. The first one changes channels and resolution.
pub(crate) fn stage<B: Backend>(
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

/// The blocks with [frozen](BatchNorm::frozen) batch normalisation.
pub(crate) fn with_frozen_batch_norm<B: Backend>(stage: Vec<BasicBlock<B>>) -> Vec<BasicBlock<B>> {
    stage.into_iter().map(BasicBlock::with_frozen_batch_norm).collect()
}

/// A k×k convolution without bias, padded by ⌊k/2⌋: with stride 1 and odd k it keeps the resolution.
pub(crate) fn conv<B: Backend>(
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

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::initial_weights::InitialWeights;
use crate::maps::{Epilogue, Maps};

/// Convolutions with batch normalisation, and a shortcut around them (He et al. 2016): two 3×3 convolutions, or, in a bottleneck, 1×1
/// to a quarter of the output's channels, 3×3, and 1×1 to all of them.
///
/// The shortcut is a 1×1 convolution with batch normalisation where the shape changes. As in torchvision, a bottleneck halves the
/// resolution in its 3×3 convolution.
#[derive(Module, Debug)]
pub struct ResidualBlock<B: Backend> {
    pub(crate) conv1: Conv2d<B>,
    pub(crate) bn1: BatchNorm<B>,
    pub(crate) conv2: Conv2d<B>,
    pub(crate) bn2: BatchNorm<B>,
    /// Of a bottleneck.
    pub(crate) conv3: Option<Conv2d<B>>,
    pub(crate) bn3: Option<BatchNorm<B>>,
    // A pair, so that the parameters are named `downsample.0` and `downsample.1`, as in PyTorch.
    pub(crate) downsample: Option<(Conv2d<B>, BatchNorm<B>)>,
}

/// The convolutions of a [`ResidualBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1.
    Bottleneck,
}

impl BlockKind {
    /// Channels of a block's output over those of its 3×3 convolutions.
    pub(crate) const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl<B: Backend> ResidualBlock<B> {
    /// A block whose 3×3 convolutions have `width` channels.
    fn new(
        kind: BlockKind,
        c_in: usize,
        width: usize,
        stride: usize,
        weights: &mut InitialWeights,
        device: &B::Device,
    ) -> Self {
        let c_out = width * kind.expansion();
        let (conv1, conv2, conv3) = match kind {
            BlockKind::Basic => {
                (conv(c_in, width, 3, stride, weights, device), conv(width, width, 3, 1, weights, device), None)
            }
            BlockKind::Bottleneck => (
                conv(c_in, width, 1, 1, weights, device),
                conv(width, width, 3, stride, weights, device),
                Some(conv(width, c_out, 1, 1, weights, device)),
            ),
        };
        let downsample = (stride != 1 || c_in != c_out)
            .then(|| (conv(c_in, c_out, 1, stride, weights, device), BatchNorm::new(c_out, device)));
        let [bn1, bn2] = [(); 2].map(|()| BatchNorm::new(width, device));
        let bn3 = conv3.is_some().then(|| BatchNorm::new(c_out, device));
        Self { conv1, bn1, conv2, bn2, conv3, bn3, downsample }
    }

    /// The block with [frozen](BatchNorm::frozen) batch normalisation.
    pub(crate) fn with_frozen_batch_norm(self) -> Self {
        let downsample = self.downsample.map(|(conv, bn)| (conv, bn.frozen()));
        let bn3 = self.bn3.map(BatchNorm::frozen);
        Self { bn1: self.bn1.frozen(), bn2: self.bn2.frozen(), bn3, downsample, ..self }
    }

    /// The output maps, globally average pooled after the last block.
    pub(crate) fn forward(&self, x: Maps<B>, last: bool) -> Maps<B> {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => x.clone().convolve(conv, bn, Epilogue::none()),
            None => x.clone(),
        };
        let y = x.convolve(&self.conv1, &self.bn1, Epilogue::relu());
        let epilogue = Epilogue::add_and_relu(shortcut);
        let epilogue = if last { epilogue.average() } else { epilogue };
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                y.convolve(&self.conv2, &self.bn2, Epilogue::relu()).convolve(conv3, bn3, epilogue)
            }
            _ => y.convolve(&self.conv2, &self.bn2, epilogue),
        }
    }
}

/// The output of a sequence of blocks, globally average pooled, `[N, C]`.
pub(crate) fn features<'a, B: Backend>(
    blocks: impl DoubleEndedIterator<Item = &'a ResidualBlock<B>>,
    maps: Maps<B>,
) -> Tensor<B, 2> {
    let mut blocks = blocks;
    let last = blocks.next_back().expect("a network has blocks");
    let maps = blocks.fold(maps, |maps, block| block.forward(maps, false));
    last.forward(maps, true).features()
}

/// A stage of blocks, whose 3×3 convolutions have `width` channels. The first one changes channels and resolution.
pub(crate) fn stage<B: Backend>(
    kind: BlockKind,
    blocks: usize,
    c_in: usize,
    width: usize,
    stride: usize,
    weights: &mut InitialWeights,
    device: &B::Device,
) -> Vec<ResidualBlock<B>> {
    (0..blocks)
        .map(|i| match i {
            0 => ResidualBlock::new(kind, c_in, width, stride, weights, device),
            _ => ResidualBlock::new(kind, width * kind.expansion(), width, 1, weights, device),
        })
        .collect()
}

/// The blocks with [frozen](BatchNorm::frozen) batch normalisation.
pub(crate) fn with_frozen_batch_norm<B: Backend>(stage: Vec<ResidualBlock<B>>) -> Vec<ResidualBlock<B>> {
    stage.into_iter().map(ResidualBlock::with_frozen_batch_norm).collect()
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

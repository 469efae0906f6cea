use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;

/// Images, or the maps that a convolution makes of them, in whichever layout the backend computes with.
#[derive(Clone, Debug)]
pub(crate) struct Maps<B: Backend> {
    tensor: Tensor<B, 4>,
    /// `[N, H, W, C]`, else `[N, C, H, W]`.
    interleaved: bool,
}

/// What follows a convolution and its batch normalisation.
pub(crate) enum Then<B: Backend> {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
    /// ReLU, and the means of 2×2 pixels; an odd last row or column is dropped.
    ReluAndHalve,
    /// Adding maps of the same shape, and ReLU.
    AddAndRelu(Maps<B>),
}

impl<B: Backend> Maps<B> {
    /// Of `[N, C, H, W]`.
    pub fn new(images: Tensor<B, 4>) -> Self {
        Self { tensor: images, interleaved: false }
    }

    /// `[N, C, H, W]`
    pub fn planar(self) -> Tensor<B, 4> {
        match self.interleaved {
            true => self.tensor.permute([0, 3, 1, 2]),
            false => self.tensor,
        }
    }

    /// `[N, H, W, C]`
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    fn interleaved(self) -> Tensor<B, 4> {
        match self.interleaved {
            true => self.tensor,
            false => self.tensor.permute([0, 2, 3, 1]),
        }
    }

    /// Convolution, batch normalisation, and what follows.
    pub fn convolve(self, conv: &Conv2d<B>, norm: &BatchNorm<B>, then: Then<B>) -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        return self.convolve_on_cpu(conv, norm, then);
        #[cfg(not(any(feature = "flex", feature = "ndarray")))]
        return self.convolve_by_layers(conv, norm, then);
    }

    #[cfg(any(feature = "flex", feature = "ndarray"))]
    fn convolve_on_cpu(self, conv: &Conv2d<B>, norm: &BatchNorm<B>, then: Then<B>) -> Self {
        let padding = match conv.padding {
            PaddingConfig2d::Explicit(top, left, bottom, right) if [left, bottom, right] == [top; 3] => Some(top),
            PaddingConfig2d::Valid => Some(0),
            _ => None,
        };
        let square = conv.stride[0] == conv.stride[1] && conv.kernel_size[0] == conv.kernel_size[1];
        let plain = conv.dilation == [1, 1] && conv.groups == 1 && conv.bias.is_none();
        let Some(padding) = padding.filter(|padding| square && plain && *padding < conv.kernel_size[0]) else {
            return self.convolve_by_layers(conv, norm, then);
        };
        let residual = match &then {
            Then::AddAndRelu(maps) => Some(maps.clone().interleaved()),
            _ => None,
        };
        let block = crate::cpu::Block {
            input: self.tensor,
            interleaved: self.interleaved,
            weight: conv.weight.val(),
            stride: conv.stride[0],
            padding,
            gamma: norm.weight.val(),
            beta: norm.bias.val(),
            running: norm.running_statistics(),
            epsilon: norm.epsilon(),
            residual,
            relu: !matches!(then, Then::Nothing),
            pool: matches!(then, Then::ReluAndHalve),
        };
        match crate::cpu::block(block) {
            Ok(output) => {
                if let Some([mean, variance]) = output.statistics {
                    norm.follow(mean, variance);
                }
                Self { tensor: output.maps, interleaved: true }
            }
            Err(block) => {
                Self { tensor: block.input, interleaved: self.interleaved }.convolve_by_layers(conv, norm, then)
            }
        }
    }

    /// The same by one layer after the other.
    pub fn convolve_by_layers(self, conv: &Conv2d<B>, norm: &BatchNorm<B>, then: Then<B>) -> Self {
        let maps = norm.forward(conv.forward(self.planar()));
        Self::new(match then {
            Then::Nothing => maps,
            Then::Relu => relu(maps),
            Then::ReluAndHalve => Self::new(relu(maps)).halve().tensor,
            Then::AddAndRelu(other) => relu(maps + other.planar()),
        })
    }

    /// Means of 2×2 pixels; an odd last row or column is dropped.
    pub fn halve(self) -> Self {
        Self::new(avg_pool2d(self.planar(), [2, 2], [2, 2], [0, 0], true, false))
    }

    /// Means over all places of each channel, `[N, C]`.
    pub fn global_average(self) -> Tensor<B, 2> {
        let [n, a, b, c] = self.tensor.dims();
        match self.interleaved {
            true => self.tensor.reshape([n, a * b, c]).mean_dim(1).reshape([n, c]),
            false => self.tensor.reshape([n, a, b * c]).mean_dim(2).reshape([n, a]),
        }
    }
}

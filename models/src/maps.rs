use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::block::{Block, BlockOutput};
use crate::layers::{convolution, for_sums};
use crate::pool::Pool;
use crate::replicas::Replica;

/// Images, or the output maps of a layer, in the layout that the backend computes with.
#[derive(Clone, Debug)]
pub(crate) struct Maps<B: Backend> {
    tensor: Tensor<B, 4>,
    /// Whether the tensor is `[N, H, W, C]` and not `[N, C, H, W]`.
    interleaved: bool,
}

/// What follows a convolution and its batch normalisation: (+ residual) (→ ReLU) (→ pooling).
pub(crate) struct Epilogue<B: Backend> {
    /// Maps of the same shape that are added.
    residual: Option<Maps<B>>,
    relu: bool,
    pool: Pool,
}

impl<B: Backend> Epilogue<B> {
    pub fn none() -> Self {
        Self { residual: None, relu: false, pool: Pool::None }
    }

    pub fn relu() -> Self {
        Self { relu: true, ..Self::none() }
    }

    /// A residual is added, and ReLU.
    pub fn add_and_relu(residual: Maps<B>) -> Self {
        Self { residual: Some(residual), ..Self::relu() }
    }

    /// The same, and 2×2 average pooling; an odd last row or column is dropped.
    pub fn halve(self) -> Self {
        Self { pool: Pool::Halve, ..self }
    }

    /// The same, and global average pooling, `[N, C, 1, 1]`.
    pub fn average(self) -> Self {
        Self { pool: Pool::Average, ..self }
    }
}

impl<B: Backend> Maps<B> {
    /// Maps `[N, C, H, W]`.
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
    fn interleaved(self) -> Tensor<B, 4> {
        match self.interleaved {
            true => self.tensor,
            false => self.tensor.permute([0, 2, 3, 1]),
        }
    }

    /// Convolution, batch normalisation and epilogue: as one operation where the backend has it, else layer by layer.
    pub fn convolve(self, conv: &Conv2d<B>, norm: &BatchNorm<B>, epilogue: Epilogue<B>) -> Self {
        let padding = match conv.padding {
            PaddingConfig2d::Explicit(top, left, bottom, right) if [left, bottom, right] == [top; 3] => Some(top),
            PaddingConfig2d::Valid => Some(0),
            _ => None,
        };
        let square = conv.stride[0] == conv.stride[1] && conv.kernel_size[0] == conv.kernel_size[1];
        let plain = conv.dilation == [1, 1] && conv.groups == 1 && conv.bias.is_none();
        // Kernels that compute gradients normalise with the statistics of this device's share: those of a batch on several devices need an
        // exchange, and a frozen layer has others.
        let own_statistics = match norm.trains() {
            true => Replica::with_whole_statistics().is_none(),
            false => !B::ad_enabled(&self.tensor.device()),
        };
        let Some(padding) =
            padding.filter(|padding| own_statistics && square && plain && *padding < conv.kernel_size[0])
        else {
            return self.convolve_by_layers(conv, norm, epilogue);
        };
        let block = Block {
            input: self.tensor,
            interleaved: self.interleaved,
            weight: conv.weight.val(),
            stride: conv.stride[0],
            padding,
            gamma: norm.weight.val(),
            beta: norm.bias.val(),
            running: norm.running(),
            epsilon: norm.epsilon(),
            residual: epilogue.residual.clone().map(Self::interleaved),
            relu: epilogue.relu,
            pool: epilogue.pool,
        };
        match as_one_operation(block) {
            Ok(output) => {
                if let Some(running) = output.running {
                    norm.set_running(|| running);
                }
                Self { tensor: output.maps, interleaved: true }
            }
            Err(block) => {
                Self { tensor: block.input, interleaved: self.interleaved }.convolve_by_layers(conv, norm, epilogue)
            }
        }
    }

    /// [`convolve`](Self::convolve), layer by layer.
    pub fn convolve_by_layers(self, conv: &Conv2d<B>, norm: &BatchNorm<B>, epilogue: Epilogue<B>) -> Self {
        let mut maps = norm.forward(convolution(conv, self.planar()));
        if let Some(residual) = epilogue.residual {
            maps = maps + residual.planar();
        }
        if epilogue.relu {
            maps = relu(maps);
        }
        match epilogue.pool {
            Pool::None => Self::new(maps),
            Pool::Halve => Self::new(maps).halve(),
            Pool::Average => {
                let [n, c, h, w] = maps.dims();
                let dtype = maps.dtype();
                Self::new(for_sums(maps.reshape([n, c, h * w])).mean_dim(2).cast(dtype).reshape([n, c, 1, 1]))
            }
        }
    }

    /// 2×2 average pooling; an odd last row or column is dropped.
    pub fn halve(self) -> Self {
        Self::new(avg_pool2d(self.planar(), [2, 2], [2, 2], [0, 0], true, false))
    }

    /// 3×3 max pooling with stride 2 and padding 1, `[N, C, ⌈H/2⌉, ⌈W/2⌉]`.
    pub fn max_pool(self) -> Self {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        if self.interleaved {
            return match crate::cpu::max_pool(self.tensor) {
                Ok(tensor) => Self { tensor, interleaved: true },
                Err(tensor) => Self { tensor, interleaved: true }.max_pool_by_layer(),
            };
        }
        self.max_pool_by_layer()
    }

    fn max_pool_by_layer(self) -> Self {
        Self::new(max_pool2d(self.planar(), [3, 3], [2, 2], [1, 1], [1, 1], false))
    }

    /// Maps of one pixel, `[N, C, 1, 1]`, as rows `[N, C]`.
    pub fn features(self) -> Tensor<B, 2> {
        let [n, a, b, c] = self.tensor.dims();
        self.tensor.reshape([n, a * b * c])
    }
}

/// Computes a block as one operation.
///
/// # Errors
///
/// If the backend has none, the arguments come back.
// Both are a handful of handles, and neither is kept.
#[allow(clippy::result_large_err)]
fn as_one_operation<B: Backend>(block: Block<B>) -> Result<BlockOutput<B>, Block<B>> {
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    let block = match crate::cpu::block(block) {
        Err(block) => block,
        done => return done,
    };
    match B::ad_enabled(&block.weight.device()) {
        true => crate::tensor_block::block(block),
        false => Err(block),
    }
}

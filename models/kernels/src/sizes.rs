//! Sizes of a convolution: checked once, then known to be computable.

use crate::Pool;

/// Sizes of a convolution of square kernels, unchecked. [`ConvSizes::new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvParams {
    /// Height H of an input image.
    pub height: usize,
    /// Width W of an input image.
    pub width: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels. The kernels are fastest with multiples of 16.
    pub c_out: usize,
    /// Side k of the kernel.
    pub kernel: usize,
    /// Stride s, in both directions.
    pub stride: usize,
    /// Rows and columns p of zeros on each side of the image.
    pub padding: usize,
}

/// Sizes of a convolution that can be computed.
///
/// With these, every array that a kernel touches exists and can be indexed: no size is zero, p < k ≤ min(H, W) + 2p, and no
/// array has more bytes than an allocation can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSizes(ConvParams);

/// Why sizes cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizesError {
    /// A size is zero.
    #[error("{size} of a convolution is 0")]
    Zero {
        /// Its name.
        size: &'static str,
    },
    /// The padding is not smaller than the kernel, so that some outputs see nothing but padding.
    #[error("a convolution with padding {padding} needs a kernel larger than {kernel}×{kernel}")]
    Padding {
        /// Rows and columns of zeros on each side.
        padding: usize,
        /// Side of the kernel.
        kernel: usize,
    },
    /// The kernel is larger than the padded image.
    #[error("a kernel of {kernel}×{kernel} does not fit into a padded image of {height}×{width}")]
    Kernel {
        /// Side of the kernel.
        kernel: usize,
        /// Height of the padded image.
        height: usize,
        /// Width of the padded image.
        width: usize,
    },
    /// An array would have more bytes than an allocation can have.
    #[error("{array} of a convolution is larger than memory can be")]
    TooLarge {
        /// What the array holds.
        array: &'static str,
    },
    /// 2×2 pooling of maps that have less than two rows or columns.
    #[error("2×2 pooling of maps of {height}×{width}")]
    Pool {
        /// Height of the maps.
        height: usize,
        /// Width of the maps.
        width: usize,
    },
}

/// Input channels of the mirrored weights are rounded up to a multiple of this, so that the gradient of images is computed in
/// vectors even if they have three channels.
const ROUNDED_TO: usize = 8;

impl ConvSizes {
    /// Checks sizes.
    ///
    /// # Errors
    ///
    /// If a size other than the padding is zero, the padding is not smaller than the kernel, the kernel is larger than the
    /// padded image, or one of the arrays that the convolution or its gradients need is larger than an allocation can be.
    pub fn new(params: ConvParams) -> Result<Self, SizesError> {
        let ConvParams { height, width, c_in, c_out, kernel, stride, padding } = params;
        let sizes = [
            ("height", height),
            ("width", width),
            ("number of input channels", c_in),
            ("number of output channels", c_out),
            ("kernel", kernel),
            ("stride", stride),
        ];
        if let Some((size, _)) = sizes.into_iter().find(|(_, value)| *value == 0) {
            return Err(SizesError::Zero { size });
        }
        if padding >= kernel {
            return Err(SizesError::Padding { padding, kernel });
        }
        let padded = |side: usize| padding.checked_mul(2)?.checked_add(side);
        let frame = SizesError::TooLarge { array: "the padded image" };
        let (Some(padded_height), Some(padded_width)) = (padded(height), padded(width)) else { return Err(frame) };
        if kernel > padded_height.min(padded_width) {
            return Err(SizesError::Kernel { kernel, height: padded_height, width: padded_width });
        }
        let gradient = SizesError::TooLarge { array: "the padded gradient" };
        let weights = SizesError::TooLarge { array: "the weights" };
        let Some(rounded) = c_in.checked_next_multiple_of(ROUNDED_TO) else { return Err(weights) };
        let spread = |side: usize| side.checked_add(kernel - 1).ok_or(gradient);
        let out = |padded: usize| (padded - kernel) / stride + 1;
        for (factors, error) in [
            ([padded_height, padded_width, c_in, 1], frame),
            ([out(padded_height), out(padded_width), c_out, 1], SizesError::TooLarge { array: "the output" }),
            ([kernel, kernel, rounded, c_out], weights),
            ([spread(height)?, spread(width)?, c_out, 1], gradient),
            ([height, width, rounded, 1], SizesError::TooLarge { array: "the gradient of the image" }),
            // From an output row to the next, in the padded image.
            (
                [stride, padded_width, c_in, 1],
                SizesError::TooLarge { array: "the step from an output row to the next" },
            ),
        ] {
            if !fits_memory(factors) {
                return Err(error);
            }
        }
        Ok(Self(params))
    }

    /// The sizes as they were given.
    pub fn params(&self) -> ConvParams {
        self.0
    }

    /// Height H' = ⌊(H + 2p − k) / s⌋ + 1 of the output.
    pub fn out_height(&self) -> usize {
        (self.0.height + 2 * self.0.padding - self.0.kernel) / self.0.stride + 1
    }

    /// Width W' = ⌊(W + 2p − k) / s⌋ + 1 of the output.
    pub fn out_width(&self) -> usize {
        (self.0.width + 2 * self.0.padding - self.0.kernel) / self.0.stride + 1
    }

    /// Number of values H·W·C_in of an input image.
    pub fn input_len(&self) -> usize {
        self.0.height * self.0.width * self.0.c_in
    }

    /// Number of values H'·W'·C_out of an output image.
    pub fn output_len(&self) -> usize {
        self.out_height() * self.out_width() * self.0.c_out
    }

    /// Number of values k·k·C_in·C_out of the weights.
    pub fn weights_len(&self) -> usize {
        self.0.kernel * self.0.kernel * self.0.c_in * self.0.c_out
    }

    /// Pixels of a row of the padded image.
    pub(crate) fn frame_width(&self) -> usize {
        self.0.width + 2 * self.0.padding
    }

    /// Values of the padded image.
    pub(crate) fn frame_len(&self) -> usize {
        (self.0.height + 2 * self.0.padding) * self.frame_width() * self.0.c_in
    }

    /// The convolution that computes the gradient of the input from the gradient of the output with s − 1 zeros between its
    /// pixels. Its output channels are the input channels rounded up to whole vectors.
    pub(crate) fn transposed(&self) -> Self {
        let ConvParams { height, width, c_in, c_out, kernel, padding, .. } = self.0;
        // `new` has checked the arrays of these sizes too.
        Self(ConvParams {
            height: height + 2 * padding + 1 - kernel,
            width: width + 2 * padding + 1 - kernel,
            c_in: c_out,
            c_out: c_in.next_multiple_of(ROUNDED_TO),
            kernel,
            stride: 1,
            padding: kernel - 1 - padding,
        })
    }

    /// Height and width after pooling.
    pub(crate) fn pooled(&self, pool: Pool) -> Result<[usize; 2], SizesError> {
        let (height, width) = (self.out_height(), self.out_width());
        match pool {
            Pool::None => Ok([height, width]),
            Pool::Halve if height.min(width) < 2 => Err(SizesError::Pool { height, width }),
            Pool::Halve => Ok([height / 2, width / 2]),
            Pool::Average => Ok([1, 1]),
        }
    }
}

/// Whether an array of f32 with these dimensions has no more bytes than an allocation can have.
fn fits_memory(dims: [usize; 4]) -> bool {
    let len = dims.into_iter().try_fold(size_of::<f32>(), usize::checked_mul);
    len.is_some_and(|bytes| bytes <= isize::MAX as usize)
}

//! Weights of a convolution in the arrangements that the kernels read.

use crate::sizes::{ConvParams, ConvSizes};

/// Weights of a convolution, arranged for its kernels.
#[derive(Clone, Debug)]
pub struct Weights {
    sizes: ConvSizes,
    /// `[k, k, C_in, C_out]`
    forward: Vec<f32>,
    /// Mirrored in both directions, `[k, k, C_out, C_in rounded up]`, with zeros in the added channels.
    mirrored: Option<Vec<f32>>,
}

impl Weights {
    /// Arranges weights `[C_out, C_in, k, k]`, the layout of PyTorch and Burn; with `input_gradient`, also for
    /// [`backward`](crate::ConvBlock::backward) to compute the gradient of the images.
    ///
    /// # Panics
    ///
    /// If there are not C_out·C_in·k·k values.
    pub fn new(values: &[f32], sizes: ConvSizes, input_gradient: bool) -> Self {
        let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
        assert_eq!(values.len(), sizes.weights_len(), "weights given (left) and of the convolution (right)");
        let places = kernel * kernel;
        let mut forward = vec![0.0; values.len()];
        for (o, of_output) in values.chunks_exact(c_in * places).enumerate() {
            for (i, of_input) in of_output.chunks_exact(places).enumerate() {
                for (place, weight) in of_input.iter().enumerate() {
                    forward[(place * c_in + i) * c_out + o] = *weight;
                }
            }
        }
        let mirrored = input_gradient.then(|| mirrored(&forward, &sizes));
        Self { sizes, forward, mirrored }
    }

    /// The sizes of their convolution.
    pub fn sizes(&self) -> &ConvSizes {
        &self.sizes
    }

    pub(crate) fn forward(&self) -> &[f32] {
        &self.forward
    }

    pub(crate) fn mirrored(&self) -> Option<&[f32]> {
        self.mirrored.as_deref()
    }
}

/// `[k, k, C_in, C_out]` → `[k, k, C_out, C_in rounded up]`, mirrored in the first two dimensions.
fn mirrored(forward: &[f32], sizes: &ConvSizes) -> Vec<f32> {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let places = kernel * kernel;
    let width = sizes.transposed().params().c_out;
    let mut mirrored = vec![0.0; places * c_out * width];
    for (place, of_place) in forward.chunks_exact(c_in * c_out).enumerate() {
        let target = &mut mirrored[(places - 1 - place) * c_out * width..][..c_out * width];
        for (i, of_input) in of_place.chunks_exact(c_out).enumerate() {
            for (o, weight) in of_input.iter().enumerate() {
                target[o * width + i] = *weight;
            }
        }
    }
    mirrored
}

/// `[k, k, C_in, C_out]` → `[C_out, C_in, k, k]`.
pub(crate) fn pytorch_layout(weights: &[f32], sizes: &ConvSizes) -> Vec<f32> {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let places = kernel * kernel;
    let mut arranged = vec![0.0; weights.len()];
    for (place, of_place) in weights.chunks_exact(c_in * c_out).enumerate() {
        for (i, of_input) in of_place.chunks_exact(c_out).enumerate() {
            for (o, weight) in of_input.iter().enumerate() {
                arranged[(o * c_in + i) * places + place] = *weight;
            }
        }
    }
    arranged
}

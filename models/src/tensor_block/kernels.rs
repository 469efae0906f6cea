//! What blocks are made of besides convolutions and products.

use std::fmt::Debug;

use burn::tensor::{Tensor, backend::Backend};

use super::weight_gradient::Sizes;
use crate::running_statistics::RunningStatistics;

/// The steps of a block on a backend. Maps are `[N, H, W, C]` and of any float type; parameters and statistics are f32 (f64 if the maps
/// are).
pub(super) trait BlockKernels<B: Backend>: Clone + Debug + Send + 'static {
    /// The statistics of each channel, and the running ones after them.
    fn moments(maps: Tensor<B, 4>, running: RunningStatistics<B>) -> Moments<B>;

    /// The maps normalised, activated and pooled.
    fn normalize(maps: Tensor<B, 4>, of: &Normalization<B>, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4>;

    /// ∂β and ∂γ, each `[C]`, of the gradient of the output of [`normalize`](Self::normalize).
    ///
    /// With x̂ the normalised maps and ∂y the gradient before the activation, ∂β = Σ ∂y and ∂γ = Σ ∂y·x̂.
    fn parameter_gradients(pass: &Pass<B>) -> [Tensor<B, 1>; 2];

    /// The gradients of the maps and of the residual, if there is one.
    ///
    /// With M values in a channel, ∂x = γ/√(variance + ε) · (∂y − (∂β + x̂·∂γ)/M), and that of the residual is ∂y.
    ///
    /// Source: Ioffe & Szegedy 2015, section 3.
    fn maps_gradient(pass: &Pass<B>, parameters: &[Tensor<B, 1>; 2]) -> (Tensor<B, 4>, Option<Tensor<B, 4>>);

    /// The values under the kernel of a convolution at each of P places, `[N, P, k²·C]`, 0 outside of the image.
    fn patches(maps: Tensor<B, 4>, sizes: Sizes) -> Tensor<B, 3>;

    /// Images `[N, H, W, C]` whose pixels are the sums of the values `[N, P, k²·C]` that [`patches`](Self::patches) takes from them.
    fn fold(patches: Tensor<B, 3>, sizes: Sizes) -> Tensor<B, 4>;

    /// a b, of matrices.
    fn product<const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D>;

    /// Whether only [`product`](Self::product) is right for sums of so many numbers, and not the products in Burn's convolutions.
    fn needs_product(length: usize) -> bool;
}

/// The statistics of a batch.
pub(super) struct Moments<B: Backend> {
    /// Mean and biased variance, `[2, C]`.
    pub both: Tensor<B, 2>,
    /// The running statistics after the batch.
    pub running: RunningStatistics<B>,
}

/// How maps are normalised: y = mean over a window of activation((x − mean) / √(variance + ε) · γ + β (+ residual)).
#[derive(Clone, Debug)]
pub(super) struct Normalization<B: Backend> {
    /// Mean and biased variance, `[2, C]`.
    pub moments: Tensor<B, 2>,
    /// `[C]`
    pub gamma: Tensor<B, 1>,
    /// `[C]`
    pub beta: Tensor<B, 1>,
    pub epsilon: f64,
    /// Slope of the activation below 0: 0 for ReLU, 1 for none.
    pub slope: f64,
    /// Height and width of the windows, which do not overlap. Rows and columns that fill none are dropped.
    pub window: [usize; 2],
}

/// The arguments of a backward pass.
#[derive(Clone, Debug)]
pub(super) struct Pass<B: Backend> {
    pub maps: Tensor<B, 4>,
    pub normalization: Normalization<B>,
    pub residual: Option<Tensor<B, 4>>,
    /// The gradient of the output, `[N, H', W', C]`.
    pub of_output: Tensor<B, 4>,
}

//! The operations, with their shapes.

use burn::tensor::{DType, Shape};

/// An operation on tensors, which are its inputs in the order given. Maps are `[N, H, W, C]`.
///
/// Of rows z with norms n and cosines c, similarities are c_ij min(n_i n_j/1e-8, 1); or, `floored`, max(c_ij a_i a_j, 1e-8) with
/// a = min(n/1e-12, 1).
///
/// `residual` in brackets is there if the call says so. Parameters and statistics are f32, maps and their gradients f32, f16 or bf16.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// maps, running mean `[C]` and unbiased variance `[C]`, number of batches `[1]` → mean and biased variance of each channel, `[2, C]`;
    /// the three others after the batch.
    Moments {
        /// Weight of the batch in the running statistics.
        momentum: f64,
    },
    /// maps, moments, γ `[C]`, β `[C]` (, residual) → normalised, activated and pooled maps `[N, H', W', C]`.
    Normalize(Normalize),
    /// maps, moments, γ, β, gradient of the output of [`Normalize`](Call::Normalize) (, residual) → ∂β `[C]`, ∂γ `[C]`.
    ParameterGradients(Normalize),
    /// maps, moments, γ, β, gradient of the output, ∂β, ∂γ (, residual) → gradient of the maps (, of the residual).
    MapsGradient(Normalize),
    /// maps → the values under the kernel of a convolution at each place, `[N, H'·W', k·k·C]`, 0 outside of the image.
    Patches(Patches),
    /// The values at each place of a convolution of images of H × W, `[N, H'·W', k·k·C]` → `[N, H, W, C]`: the sum of those that
    /// [`Patches`](Call::Patches) takes from the same pixel.
    Fold(Fold),
    /// a `[…, M, K]`, b `[…, K, N]` → a b `[…, M, N]`. Burn 0.21 is sure to compute it for a K that is odd or a multiple of twice the units of a
    /// plane (64 or 128), and may compute others wrongly.
    Product {
        /// N.
        columns: usize,
    },
    /// Rows `[N, M]` of f32 → their sparsemax `[N, M]`, and its thresholds `[N, 1]`.
    Sparsemax {
        /// Number of steps towards the threshold.
        rounds: u32,
    },
    /// Rows `[N, D]` of f32 → the rows divided by their norms `[N, D]`, and the norms `[N, 1]`.
    UnitRows,
    /// Cosines of N rows `[N, N]` and their norms `[N, 1]` → log Σ_P p, NaN where there is none `[N, 1]`; the mean of log p over P less that
    /// `[N, 1]`; t ∂L_i/∂s_ij `[N, N]`.
    NtXentOfRows(NtXent),
    /// log Σ_P p `[N, 1]` and what the mean of log p is less that `[N, 1]` → the loss `[1, 1]`, and the weights of the rows' derivatives `[N, 1]`.
    NtXentOfAll(NtXent),
    /// Cosines of N rows `[N, N]` and their norms `[N, 1]` → the losses of rows `[N, 1]`, and the derivatives of their mean `[N, N]`.
    SparseClr(SparseClr),
    /// Cosines `[N, B]`, norms `[N, 1]`, derivatives with respect to similarities `[N, B]` (, their weights `[N, 1]`) → M `[N, B]` and
    /// R `[N, 1]`: the gradient with respect to the rows is M u − R u, with u the rows divided by their norms. Sets of B rows each are
    /// computed apart.
    CosineGradient(CosineGradient),
    /// Cosines of the rows of view sets of B `[N, B]` and their norms `[N, 1]` → Σ_j S_ij² `[N, 1]`, and S_ij where it has a gradient, else 0
    /// `[N, B]`. S = 1 + floored similarities.
    SquaresOfRows,
    /// Σ_j S_ij² `[N, 1]` → the mean of ‖S_k‖‖S_l‖/(B(B−1)) over pairs of sets `[1, 1]`, and its derivative by S_ij over S_ij `[N, 1]`.
    FrobeniusOfSets {
        /// K: set k has the rows k·B .. (k + 1)·B.
        sets: usize,
    },
    /// Of any number of tensors of f32, of each in turn: weights, gradient, mean gradient, mean squared gradient → the same without the
    /// gradient, after a step. A gradient may lie in any order. If the step is conditional, three numbers `[1]` follow: 1 if it is taken and 0
    /// if not, factor and epsilon of the [bias correction](Correction).
    Adam(Adam),
}

/// A step of Adam: g ← g + weight_decay·w, m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − rate·m·factor/(√v + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub rate: f64,
    /// β₁.
    pub beta_1: f32,
    /// β₂.
    pub beta_2: f32,
    /// The factor of the weights in the gradient; 0 for no weight decay.
    pub weight_decay: f32,
    /// factor and epsilon.
    pub correction: Correction,
}

/// The bias correction of Adam at step t: factor √(1 − β₂ᵗ)/(1 − β₁ᵗ), epsilon ε·√(1 − β₂ᵗ).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Correction {
    /// Of a step that is taken.
    Known {
        /// The factor.
        factor: f32,
        /// The epsilon.
        epsilon: f32,
    },
    /// Of a conditional step, whose t only the device knows. The correction is among the inputs.
    Conditional,
}

/// NT-Xent: P are the other views of a row's image, p_j = exp(s_j/t) / (Σ_j exp(s_j/t) − exp(1/t)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NtXent {
    /// K: the views of an image are K rows in a row.
    pub views: usize,
    /// t.
    pub temperature: f64,
    /// Whether L_i = −mean of log p over positives, and not −log Σ_P p.
    pub mean_of_logs: bool,
    /// Which similarities.
    pub floored: bool,
}

/// SparseCLR of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparseClr {
    /// K: the views of an image are K rows in a row.
    pub views: usize,
    /// What is taken off the similarities of positives.
    pub margin: f64,
    /// Number of steps towards the threshold of sparsemax.
    pub rounds: u32,
    /// Which similarities.
    pub floored: bool,
}

/// The gradient of similarities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineGradient {
    /// Whether each row of derivatives has a weight.
    pub weighted: bool,
    /// Which similarities.
    pub floored: bool,
}

/// How maps are normalised: y = mean over a window of activation((x − mean) / √(variance + ε) · γ + β (+ residual)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalize {
    /// ε.
    pub epsilon: f64,
    /// Slope of the activation below 0: 0 for ReLU, 1 for none.
    pub slope: f64,
    /// Height and width of the windows, which do not overlap; `[1, 1]` for no pooling. Rows and columns that fill none are dropped.
    pub window: [usize; 2],
    /// Whether a residual is added before the activation.
    pub residual: bool,
}

/// The places of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patches {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance of places.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
}

/// Images whose patches are added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fold {
    /// Where the patches are from.
    pub patches: Patches,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

impl Patches {
    /// Number of places along a side of an image.
    pub fn places(self, length: usize) -> usize {
        (length + 2 * self.padding - self.kernel) / self.stride + 1
    }
}

impl Call {
    /// A name for the stream of operations.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Call::Moments { .. } => "qare_moments",
            Call::Normalize(_) => "qare_normalize",
            Call::ParameterGradients(_) => "qare_parameter_gradients",
            Call::MapsGradient(_) => "qare_maps_gradient",
            Call::Patches(_) => "qare_patches",
            Call::Fold(_) => "qare_fold",
            Call::Product { .. } => "qare_product",
            Call::Sparsemax { .. } => "qare_sparsemax",
            Call::UnitRows => "qare_unit_rows",
            Call::NtXentOfRows(_) => "qare_nt_xent_of_rows",
            Call::NtXentOfAll(_) => "qare_nt_xent_of_all",
            Call::SparseClr(_) => "qare_sparse_clr",
            Call::CosineGradient(_) => "qare_cosine_gradient",
            Call::SquaresOfRows => "qare_squares_of_rows",
            Call::FrobeniusOfSets { .. } => "qare_frobenius_of_sets",
            Call::Adam(_) => "qare_adam",
        }
    }

    /// Shapes and types of the outputs for inputs of these shapes, the first of which has this type.
    pub(crate) fn outputs(self, inputs: &[&Shape], dtype: DType) -> Vec<(Shape, DType)> {
        let maps = inputs[0];
        let by_row = || (Shape::from([maps[0], 1]), dtype);
        let all = || (maps.clone(), dtype);
        match self {
            Call::Product { columns } => {
                let mut product = maps.clone();
                *product.last_mut().expect("a product is of matrices") = columns;
                return vec![(product, dtype)];
            }
            Call::Fold(Fold { patches, height, width }) => {
                let channels = maps[2] / patches.kernel.pow(2);
                return vec![(Shape::from([maps[0], height, width, channels]), dtype)];
            }
            Call::Sparsemax { .. } | Call::UnitRows | Call::CosineGradient(_) => return vec![all(), by_row()],
            Call::NtXentOfRows(_) => return vec![by_row(), by_row(), all()],
            Call::NtXentOfAll(_) | Call::FrobeniusOfSets { .. } => return vec![(Shape::from([1, 1]), dtype), by_row()],
            Call::SparseClr(_) | Call::SquaresOfRows => return vec![by_row(), all()],
            Call::Adam(_) => {
                let of_tensor = |inputs: &[&Shape]| [inputs[0].clone(), inputs[2].clone(), inputs[3].clone()];
                return inputs.chunks_exact(4).flat_map(of_tensor).map(|shape| (shape, dtype)).collect();
            }
            _ => (),
        }
        let [images, height, width, channels] = maps.dims();
        match self {
            Call::Moments { .. } => {
                let sizes = [vec![2, channels], vec![channels], vec![channels], vec![1]];
                sizes.map(|sizes| (Shape::from(sizes), DType::F32)).into()
            }
            Call::Normalize(Normalize { window, .. }) => {
                vec![(Shape::from([images, height / window[0], width / window[1], channels]), dtype)]
            }
            Call::ParameterGradients(_) => vec![(Shape::from([channels]), DType::F32); 2],
            Call::MapsGradient(Normalize { residual, .. }) => vec![(maps.clone(), dtype); if residual { 2 } else { 1 }],
            Call::Patches(patches) => {
                let places = patches.places(height) * patches.places(width);
                vec![(Shape::from([images, places, patches.kernel.pow(2) * channels]), dtype)]
            }
            _ => unreachable!("the inputs of the others are no maps"),
        }
    }
}

use burn::config::Config;
use burn::tensor::{Tensor, backend::Backend};

use crate::gradient::with_gradient;
use crate::host::UnitRows;
use crate::rounding::at_least_f32;
use crate::views::diagonal;
use crate::{ObjectiveError, PairwiseTerm, Similarity, Views, sparsemax_support};

/// Configuration of [`SparseClr`].
#[derive(Config, Debug)]
pub struct SparseClrConfig {
    /// Margin m taken off the similarity of positives.
    #[config(default = 1.0)]
    pub margin: f64,
    /// What is contrasted.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
}

impl SparseClrConfig {
    /// The loss.
    ///
    /// # Panics
    /// When the margin is not finite.
    pub fn init(&self) -> SparseClr {
        assert!(self.margin.is_finite(), "SparseCLR's margin is {}: it has to be a number", self.margin);
        SparseClr { margin: self.margin, similarity: self.similarity }
    }
}

/// SparseCLR: a pairwise term whose sparse distribution over the negatives drops the easy ones altogether.
///
/// With n_ij = s_ij − m where j is another view of row i's image and n_ij = s_ij elsewhere (j ≠ i),
///
/// ```text
/// S_i = support of sparsemax(n_i),   τ_i = (Σ_{j∈S_i} n_ij − 1) / |S_i|
/// L   = mean_i [ ½ Σ_{j∈S_i} (n_ij² − τ_i²) − mean of i's shifted positives + ½ ]
/// ```
///
/// The choice of the support is held constant; the gradient with respect to n_ij is then the sparsemax probability
/// n_ij − τ_i.
///
/// Source: Moskalev, Sosnovik, Fischer, Smeulders, "Contrasting quadratic assignments for set-based representation
/// learning" (ECCV 2022), section 3.3; Niculae et al., "SparseMAP" (2018).
#[derive(Clone, Debug)]
pub struct SparseClr {
    pub(crate) margin: f64,
    pub(crate) similarity: Similarity,
}

impl SparseClr {
    /// The loss `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images.
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let Some(rows) = UnitRows::of(&embeddings) else { return self.forward_generic(embeddings, views) };
        let term = rows.pairwise(&PairwiseTerm::SparseClr(self.clone()), views, B::ad_enabled(&embeddings.device()))?;
        Ok(rows.attach(term, embeddings))
    }

    /// The same in tensor operations alone, which is what [`forward`](Self::forward) does off the CPU.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_generic<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        let device = embeddings.device();
        let similarity = self.similarity.matrix(embeddings.unsqueeze()).squeeze_dim(0); // [N, N]
        let constant = similarity.clone().detach();
        let positives = views.positives::<B>(rows, &device).float().cast(constant.dtype());
        let shifted = constant - positives.clone() * self.margin;
        let positives = positives / (views.count() - 1) as f64; // each row sums to 1

        let support = sparsemax_support(shifted.clone().mask_fill(diagonal::<B>(rows, &device), f64::NEG_INFINITY));
        let inside = shifted.clone() * support.clone();
        let excess = inside.clone().sum_dim(1) - 1.0; // [N, 1]
        let tau = excess.clone() / support.clone().sum_dim(1);
        // |S| τ² = τ (Σ_S n − 1)
        let negatives = (inside.clone() * inside.clone()).sum_dim(1) - tau.clone() * excess;
        let positive = (shifted * positives.clone()).sum_dim(1);
        let value = (negatives * 0.5 - positive + 0.5).mean();
        let gradient = (inside - support * tau - positives) / rows as f64;
        Ok(with_gradient(value, similarity, gradient))
    }
}

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{IndexingUpdateOp, Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::gradient::with_gradient;
use crate::host::UnitRows;
use crate::inspection::{all_finite, gradients_in_range, in_range, overflow, row_label};
use crate::rounding::at_least_f32;
use crate::sparsemax::{Projection, project};
use crate::summation::sum_rows;
use crate::views::diagonal;
use crate::{ObjectiveError, PairwiseTerm, Similarity, Views};

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
    /// # Errors
    /// When the margin is not finite.
    pub fn init(&self) -> Result<SparseClr, ObjectiveError> {
        if !self.margin.is_finite() {
            let (parameter, value) = ("SparseCLR's margin", self.margin);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "finite" });
        }
        Ok(SparseClr { margin: self.margin, similarity: self.similarity })
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
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct SparseClr {
    pub(crate) margin: f64,
    pub(crate) similarity: Similarity,
}

impl Default for SparseClr {
    fn default() -> Self {
        SparseClrConfig::new().init().expect("the default margin is finite")
    }
}

impl ModuleDisplay for SparseClr {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("margin", &self.margin).add_debug_attribute("similarity", &self.similarity).optional()
    }
}

impl SparseClr {
    /// The loss `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, a row holds NaN or infinity, or the loss leaves the range of its type.
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let Some(rows) = UnitRows::of(&embeddings, views, false)? else {
            #[cfg(feature = "cubecl")]
            if let Some(loss) = self.in_kernels(&embeddings, views)? {
                return Ok(loss);
            }
            return self.forward_generic(embeddings, views);
        };
        let term = rows.pairwise(&PairwiseTerm::SparseClr(self.clone()), views, B::ad_enabled(&embeddings.device()))?;
        rows.attach(term, embeddings)
    }

    /// [`forward`](Self::forward) in tensor operations alone, as backends of a GPU compute it; the tests compare the two.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    #[doc(hidden)]
    pub fn forward_generic<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        let device = embeddings.device();
        let read = computes_on_host::<B>(&device);
        if read {
            all_finite(&embeddings, views)?;
            if self.similarity == Similarity::Cosine {
                gradients_in_range(&embeddings, |row| row_label(row, views))?;
            }
        }
        let similarity = self.similarity.matrix(embeddings.clone().unsqueeze()).squeeze_dim(0); // [N, N]
        let constant = similarity.clone().detach();
        let positives = views.positive_columns::<B>(rows, &device); // [N, K − 1]
        let share = 1.0 / (views.count() - 1) as f64;
        let add = |to: Tensor<B, 2>, number: f64| {
            let numbers = Tensor::full([rows, views.count() - 1], number, (&device, to.dtype()));
            to.scatter(1, positives.clone(), numbers, IndexingUpdateOp::Add)
        };

        let shifted = add(constant, -self.margin);
        let positive = shifted.clone().gather(1, positives.clone()).mean_dim(1); // [N, 1]
        let negatives = shifted.mask_fill(diagonal::<B>(rows, &device), f64::NEG_INFINITY);
        let Projection { probabilities, threshold, is_number } = project(negatives);
        if !is_number {
            // Read back already. An embedding is the cause, or else a margin that does not fit the numbers.
            all_finite(&embeddings, views)?;
            return Err(overflow("SparseCLR's similarities less the margin", similarity.dtype()));
        }
        // ½ Σ (n² − τ²) over the support = ½ Σ p² + τ Σ p, without its cancellation; and Σ p = 1.
        let squares = sum_rows(probabilities.clone() * probabilities.clone());
        let value = (squares * 0.5 + threshold - positive + 0.5).mean();
        if read {
            in_range(&value, "SparseCLR's loss")?;
        }
        let gradient = add(probabilities, -share) / rows as f64;
        Ok(with_gradient(value, similarity, gradient))
    }
}

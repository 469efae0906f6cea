use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Bool, DType, IndexingUpdateOp, Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::gradient::with_gradient;
use crate::host::UnitRows;
use crate::inspection::{all_finite, gradients_in_range, in_range, numbers, row_label};
use crate::rounding::at_least_f32;
use crate::similarity::Similarities;
use crate::summation::sum_rows;
use crate::views::diagonal;
use crate::{ObjectiveError, PairwiseTerm, Similarity, Views, temperature};

/// How NT-Xent reduces the probabilities of its positives to one number.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum NtXentReduction {
    /// −log(mean p), as the reference implementation of QARe computes it.
    LogOfMean,
    /// −mean(log p), as Chen et al. (2020) write it, and most libraries compute it.
    MeanOfLogs,
}

/// Configuration of [`NtXent`].
#[derive(Config, Debug)]
pub struct NtXentConfig {
    /// Temperature t > 0.
    #[config(default = 0.5)]
    pub temperature: f64,
    /// What is contrasted.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the positives' probabilities become a loss.
    #[config(default = "NtXentReduction::MeanOfLogs")]
    pub reduction: NtXentReduction,
}

impl NtXentConfig {
    /// As the reference implementation of QARe has it: −log(mean p), which is the same where all p are equal, and smaller
    /// elsewhere. [`ContrastiveObjectiveConfig::simclr`](crate::ContrastiveObjectiveConfig::simclr) takes it.
    pub fn of_reference() -> Self {
        Self::new().with_reduction(NtXentReduction::LogOfMean)
    }

    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not a positive number.
    pub fn init(&self) -> Result<NtXent, ObjectiveError> {
        let temperature = temperature::check("NT-Xent's temperature", self.temperature)?;
        Ok(NtXent { temperature, similarity: self.similarity, reduction: self.reduction })
    }
}

/// Normalised temperature-scaled cross entropy (NT-Xent), the pairwise term of SimCLR.
///
/// With similarities s over all N = K·B rows and P(i) the K − 1 other views of row i's image,
///
/// ```text
/// p_ip = exp(s_ip/t) / (Σ_j exp(s_ij/t) − exp(1/t)),   p ∈ P(i)
/// L    = −log(mean over i and p of p_ip)               (LogOfMean)
///      = −mean over i and p of log p_ip                (MeanOfLogs)
/// ```
///
/// In the sum, s_ii = 1 makes exp(s_ii/t) and exp(1/t) the same, and they are taken for that. Rows so short that s_ii < 1 (shorter
/// than 1e-4, with [`Similarity::Cosine`]; than 1e-12, with [`Similarity::FlooredCosine`]; zero rows) keep both, as in the
/// reference implementation: p_ip is then larger than without, and where the denominator is not positive any more there is no
/// loss, but an error. A row of any other finite length, up to the largest of its type, has the loss of its direction.
///
/// Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020), eq. 1.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct NtXent {
    pub(crate) temperature: f64,
    pub(crate) similarity: Similarity,
    pub(crate) reduction: NtXentReduction,
}

impl Default for NtXent {
    fn default() -> Self {
        NtXentConfig::new().init().expect("the default temperature is positive")
    }
}

impl ModuleDisplay for NtXent {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("temperature", &self.temperature)
            .add_debug_attribute("similarity", &self.similarity)
            .add_debug_attribute("reduction", &self.reduction)
            .optional()
    }
}

impl NtXent {
    /// The loss `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, and when the loss is not a number: see [`check`](Self::check).
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let Some(rows) = UnitRows::of(&embeddings, views, false)? else {
            #[cfg(feature = "cubecl")]
            if let Some(loss) = self.in_kernels(&embeddings, views)? {
                return Ok(loss);
            }
            return self.forward_generic(embeddings, views);
        };
        let term = rows.pairwise(&PairwiseTerm::NtXent(self.clone()), views, B::ad_enabled(&embeddings.device()))?;
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
        let read = computes_on_host::<B>(&embeddings.device());
        self.in_tensors(embeddings, views, read)
    }

    /// Says what is wrong with embeddings whose loss is not a number.
    ///
    /// [`forward`](Self::forward) says so itself where tensors are in the host's memory. On a GPU it waits for nothing: loss and
    /// gradient are then NaN, and this, which evaluates the loss once more and reads back what is needed, tells why.
    ///
    /// # Errors
    /// When a row holds NaN or infinity, a row is so short that its denominator is not positive, or the loss leaves the range of its
    /// type; and as [`forward`](Self::forward).
    pub fn check<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<(), ObjectiveError> {
        self.in_tensors(at_least_f32(embeddings), views, true).map(|_| ())
    }

    /// In tensor operations; whether anything may be `read` back to find errors.
    fn in_tensors<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
        read: bool,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        if read {
            all_finite(&embeddings, views)?;
            if self.similarity == Similarity::Cosine {
                gradients_in_range(&embeddings, |row| row_label(row, views))?;
            }
        }
        let (device, t, share) = (embeddings.device(), self.temperature, 1.0 / (views.count() - 1) as f64);
        let Similarities { matrix, own, short } = self.similarity.within(embeddings.clone().unsqueeze());
        let (similarity, own, short) = (matrix.squeeze_dim::<2>(0), own.squeeze_dim::<2>(0), short.squeeze_dim::<2>(0));
        self.check_temperature(similarity.dtype())?;
        let constant = similarity.clone().detach(); // [N, N]
        let positives = views.positive_columns::<B>(rows, &device); // [N, K − 1]
        let itself = diagonal::<B>(rows, &device);

        // All exponentials of a row are taken relative to its largest: the same ratios, and at a low temperature neither
        // overflow nor 0/0.
        let largest = constant.clone().mask_fill(itself.clone(), f64::NEG_INFINITY).max_dim(1); // [N, 1]
        // exp(s_ii/t) and exp(1/t), which are the same unless the row is short. At a low temperature rounding them would drown
        // all others.
        let ordinary = short.bool_not();
        let [own_part, full_part] = [own.clone() - largest.clone(), largest.clone().neg() + 1.0]
            .map(|exponent| (exponent / t).exp().mask_fill(ordinary.clone(), 0.0));
        let exponents = (constant - largest) / t;
        let positive = exponents.clone().gather(1, positives.clone()); // [N, K − 1]
        let exponentials = exponents.exp();
        let each = exponentials.clone().gather(1, positives.clone());
        // Of all others; of the row itself what a short row has of it.
        let negatives = exponentials.mask_where(itself, own_part.expand([rows, rows])).scatter(
            1,
            positives.clone(),
            each.clone().neg(),
            IndexingUpdateOp::Add,
        );

        let present = each.clone().sum_dim(1); // [N, 1]
        let sum = sum_rows(negatives.clone());
        let others = sum.clone() - full_part.clone();
        let denominator = others.clone() + present.clone();
        // Where no more is left than rounding makes of it, there is nothing to divide by.
        let rounding = if similarity.dtype() == DType::F64 { f64::EPSILON } else { f32::EPSILON.into() };
        let noise = (sum + full_part) * (8.0 * rounding);
        let empty = denominator.clone().greater(noise).bool_not();
        if read {
            self.none_empty(&empty, &embeddings, &own, views)?;
        }
        let denominator = denominator.mask_fill(empty, f64::NAN);

        // log Σ_P e_ip / d_i: by log1p where the positives are nearly all there is; and relative to the largest positive, for at
        // a low temperature all of a row's may be 0.
        let top = positive.clone().max_dim(1); // [N, 1]
        let relative = (positive.clone() - top.clone()).exp(); // [N, K − 1]
        let total = relative.clone().sum_dim(1);
        let log_total = top + total.clone().log();
        let missing = (others.clone() / present.clone()).log1p().neg();
        let log_sum =
            (log_total.clone() - denominator.clone().log()).mask_where(others.clone().lower(present.clone()), missing);
        // ∂L/∂s_ij = α_i (e_ij / d_i − q_ij) / t, where q_ij = 0 unless j is a positive.
        let (value, alpha, of_positives) = match self.reduction {
            NtXentReduction::LogOfMean => {
                let best = log_sum.clone().max_dim(0); // [1, 1]
                let p = (log_sum - best.clone()).exp();
                let value = (p.clone().mean().log() + best.reshape([1]) + share.ln()).neg();
                // q_ip = e_ip / Σ_P e, and e_ip / d_i − q_ip = −q_ip others_i / d_i.
                let of_positives = (relative / total).neg() * (others / denominator.clone());
                (value, p.clone() / p.sum_dim(0), of_positives)
            }
            NtXentReduction::MeanOfLogs => {
                let value = (log_sum + (positive.mean_dim(1) - log_total)).mean().neg();
                // q_ip = 1 / (K − 1).
                let uneven = each - present * share;
                let of_positives = (uneven - others * share) / denominator.clone();
                (value, Tensor::ones_like(&denominator) / rows as f64, of_positives)
            }
        };
        if read {
            in_range(&value, "NT-Xent's loss")?;
        }
        // Where the loss is no number, neither is the gradient.
        let alpha = (alpha + value.clone().reshape([1, 1]) * 0.0) / t;
        let gradient = (negatives * (alpha.clone() / denominator)).scatter(
            1,
            positives,
            of_positives * alpha,
            IndexingUpdateOp::Add,
        );
        Ok(with_gradient(value, similarity, gradient))
    }
}

impl NtXent {
    /// # Errors
    /// When exponents of similarities over the temperature leave the range of `dtype`.
    pub(crate) fn check_temperature(&self, dtype: DType) -> Result<(), ObjectiveError> {
        temperature::fits("NT-Xent", self.temperature, dtype)
    }

    /// # Errors
    /// When the denominator of a row is not positive.
    fn none_empty<B: Backend>(
        &self,
        empty: &Tensor<B, 2, Bool>,
        embeddings: &Tensor<B, 2>,
        own: &Tensor<B, 2>,
        views: Views,
    ) -> Result<(), ObjectiveError> {
        let Some(row) = empty.clone().into_data().iter::<bool>().position(|empty| empty) else { return Ok(()) };
        let [rows, _] = embeddings.dims();
        let length = numbers(embeddings.clone().narrow(0, row, 1)).into_iter().fold(0.0, f64::hypot);
        Err(ObjectiveError::NoProbabilities {
            row: row_label(row, views),
            length,
            own: numbers(own.clone())[row],
            rows,
            temperature: self.temperature,
        })
    }
}

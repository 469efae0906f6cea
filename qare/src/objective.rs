use burn::config::Config;
use burn::module::{Content, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::host::UnitRows;
use crate::inspection::{all_finite, in_range};
use crate::rounding::at_least_f32;
use crate::term::scalar;
use crate::{NtXent, NtXentConfig, ObjectiveError, Qare, QareConfig, Similarity, SparseClr, SparseClrConfig, Views};

/// Configuration of the pairwise term.
#[derive(Config, Debug)]
pub enum PairwiseConfig {
    /// NT-Xent, as SimCLR.
    NtXent(NtXentConfig),
    /// SparseCLR.
    SparseClr(SparseClrConfig),
}

impl PairwiseConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a number of it is out of range.
    pub fn init(&self) -> Result<PairwiseTerm, ObjectiveError> {
        Ok(match self {
            PairwiseConfig::NtXent(config) => PairwiseTerm::NtXent(config.init()?),
            PairwiseConfig::SparseClr(config) => PairwiseTerm::SparseClr(config.init()?),
        })
    }
}

/// Configuration of [`ContrastiveObjective`]: a pairwise term, and the set term or none.
#[derive(Config, Debug)]
pub struct ContrastiveObjectiveConfig {
    /// What contrasts views one by one.
    pub pairwise: PairwiseConfig,
    /// What contrasts them as sets, if anything does.
    #[config(default = "None")]
    pub qare: Option<QareConfig>,
    /// Weight α of the pairwise term.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight β of the set term.
    #[config(default = 1.0)]
    pub beta: f64,
}

impl ContrastiveObjectiveConfig {
    /// NT-Xent of cosine similarities, as [`NtXentConfig::of_reference`].
    pub fn simclr() -> Self {
        Self::new(PairwiseConfig::NtXent(NtXentConfig::of_reference()))
    }

    /// SparseCLR of cosine similarities.
    pub fn sparseclr() -> Self {
        Self::new(PairwiseConfig::SparseClr(SparseClrConfig::new()))
    }

    /// α·NT-Xent + β·QARe, both of floored cosine similarities.
    pub fn simclr_qare(alpha: f64, beta: f64) -> Self {
        let pairwise = NtXentConfig::of_reference().with_similarity(Similarity::FlooredCosine);
        Self::new(PairwiseConfig::NtXent(pairwise)).regularized(alpha, beta)
    }

    /// α·SparseCLR + β·QARe, both of floored cosine similarities.
    pub fn sparseclr_qare(alpha: f64, beta: f64) -> Self {
        let pairwise = SparseClrConfig::new().with_similarity(Similarity::FlooredCosine);
        Self::new(PairwiseConfig::SparseClr(pairwise)).regularized(alpha, beta)
    }

    fn regularized(self, alpha: f64, beta: f64) -> Self {
        self.with_qare(Some(QareConfig::new())).with_alpha(alpha).with_beta(beta)
    }

    /// The objective.
    ///
    /// # Errors
    /// When a weight is not finite, or a number of a term is out of range.
    pub fn init(&self) -> Result<ContrastiveObjective, ObjectiveError> {
        for (parameter, value) in [("the weight alpha", self.alpha), ("the weight beta", self.beta)] {
            if !value.is_finite() {
                return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "finite" });
            }
        }
        Ok(ContrastiveObjective {
            pairwise: self.pairwise.init()?,
            qare: self.qare.as_ref().map(QareConfig::init),
            alpha: self.alpha,
            beta: self.beta,
        })
    }
}

/// A loss over pairs of views.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub enum PairwiseTerm {
    /// NT-Xent, as SimCLR.
    NtXent(NtXent),
    /// SparseCLR.
    SparseClr(SparseClr),
}

impl ModuleDisplay for PairwiseTerm {
    fn custom_content(&self, content: Content) -> Option<Content> {
        match self {
            PairwiseTerm::NtXent(loss) => content.add("loss", loss).optional(),
            PairwiseTerm::SparseClr(loss) => content.add("loss", loss).optional(),
        }
    }
}

impl PairwiseTerm {
    /// The loss `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// As the term's own: [`NtXent::forward`], [`SparseClr::forward`].
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self {
            PairwiseTerm::NtXent(loss) => loss.forward(embeddings, views),
            PairwiseTerm::SparseClr(loss) => loss.forward(embeddings, views),
        }
    }

    fn forward_generic<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self {
            PairwiseTerm::NtXent(loss) => loss.forward_generic(embeddings, views),
            PairwiseTerm::SparseClr(loss) => loss.forward_generic(embeddings, views),
        }
    }
}

/// The objective of a batch and the terms it is made of, each `[1]`; the terms are unweighted and off the graph.
#[derive(Clone, Debug)]
pub struct ObjectiveOutput<B: Backend> {
    /// α·pairwise + β·QARe.
    pub loss: Tensor<B, 1>,
    /// The pairwise term.
    pub pairwise: Tensor<B, 1>,
    /// The set term, where the objective has one.
    pub qare: Option<Tensor<B, 1>>,
}

/// α·pairwise + β·QARe, or the pairwise term alone: `simclr`, `sparseclr`, `simclr_qare` and `sparseclr_qare`.
///
/// Source: Moskalev, Sosnovik, Fischer, Smeulders, "Contrasting quadratic assignments for set-based representation
/// learning" (ECCV 2022), section 3.4.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct ContrastiveObjective {
    pairwise: PairwiseTerm,
    qare: Option<Qare>,
    alpha: f64,
    beta: f64,
}

impl ModuleDisplay for ContrastiveObjective {
    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = match &self.pairwise {
            PairwiseTerm::NtXent(loss) => content.add("pairwise", loss),
            PairwiseTerm::SparseClr(loss) => content.add("pairwise", loss),
        };
        let content = content.add("alpha", &self.alpha);
        match &self.qare {
            Some(qare) => content.add("qare", qare).add("beta", &self.beta).optional(),
            None => content.optional(),
        }
    }
}

impl ContrastiveObjective {
    /// The objective and its terms for embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, a row holds NaN or infinity, or there is no loss for another reason, in
    /// which the error names what is wrong and where. (On a GPU nothing is read back for NT-Xent: see [`check`](Self::check).)
    pub fn forward<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let reads = self.qare.as_ref().is_some_and(|qare| qare.reads_embeddings(embeddings.dims()[0], views));
        let Some(rows) = UnitRows::of(&embeddings, views, reads)? else {
            let qare = self.qare.as_ref().map(|qare| qare.forward(embeddings.clone(), views)).transpose()?;
            return self.output(self.pairwise.forward(embeddings, views)?, qare);
        };
        let differentiate = B::ad_enabled(&embeddings.device());
        let weights = [self.alpha, self.beta];
        let terms = rows.objective(&self.pairwise, self.qare.as_ref(), weights, views, differentiate)?;
        let device = embeddings.device();
        Ok(ObjectiveOutput {
            pairwise: scalar::<B>(terms.pairwise, &device),
            qare: terms.qare.map(|value| scalar::<B>(value, &device)),
            loss: rows.attach(terms.total, embeddings)?,
        })
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
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let qare = self.qare.as_ref().map(|qare| qare.forward_generic(embeddings.clone(), views)).transpose()?;
        let pairwise = self.pairwise.forward_generic(embeddings, views)?;
        self.output(pairwise, qare)
    }

    /// Says what is wrong with embeddings whose loss is not a number.
    ///
    /// [`forward`](Self::forward) says so itself, save on a GPU for NT-Xent: see [`NtXent::check`].
    ///
    /// # Errors
    /// As [`NtXent::check`] and [`forward`](Self::forward).
    pub fn check<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<(), ObjectiveError> {
        all_finite(&embeddings, views)?;
        match &self.pairwise {
            PairwiseTerm::NtXent(loss) => loss.check(embeddings.clone(), views)?,
            PairwiseTerm::SparseClr(_) => (),
        }
        in_range(&self.forward_generic(embeddings, views)?.loss, "the weighted sum of the terms")
    }

    fn output<B: Backend>(
        &self,
        pairwise: Tensor<B, 1>,
        qare: Option<Tensor<B, 1>>,
    ) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let loss = match &qare {
            Some(qare) => pairwise.clone() * self.alpha + qare.clone() * self.beta,
            None => pairwise.clone() * self.alpha,
        };
        if computes_on_host::<B>(&loss.device()) {
            in_range(&loss, "the weighted sum of the terms")?;
        }
        Ok(ObjectiveOutput { loss, pairwise: pairwise.detach(), qare: qare.map(Tensor::detach) })
    }
}

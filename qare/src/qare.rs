use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Bool, Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::host::UnitRows;
use crate::inspection::all_finite;
use crate::rounding::at_least_f32;
use crate::set_term::{self, Entries};
use crate::similarity::{Similarities, unit_embeddings};
use crate::spectrum::{SET, finite_matrices};
use crate::views::diagonal;
use crate::{ObjectiveError, SetTerm, Similarity, Views};

/// Configuration of [`Qare`].
#[derive(Config, Debug)]
pub struct QareConfig {
    /// What similarities are cut off at from below.
    #[config(default = "SimilarityFloor::Epsilon")]
    pub similarity_floor: SimilarityFloor,
    /// Which function of the similarities the term is.
    #[config(default = "SetTerm::Spectral")]
    pub set_term: SetTerm,
}

/// What the set term's similarities are cut off at from below.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum SimilarityFloor {
    /// s_ij = max(ẑ_i·ẑ_j, 1e-8), as the reference implementation has it. The cost grows as B³, or as B² without spectra.
    Epsilon,
    /// s_ij = ẑ_i·ẑ_j. S has then rank D + 1 at most, its spectrum and its norm are found from a matrix of that size, exactly, and the
    /// cost is linear in B.
    None,
}

impl QareConfig {
    /// The regulariser.
    pub fn init(&self) -> Qare {
        Qare { similarity_floor: self.similarity_floor, set_term: self.set_term }
    }
}

/// QARe: the quadratic-assignment regulariser, which contrasts the views of a batch as whole sets.
///
/// View set k gives S_k = 1 + s `[B, B]`, with s the cosine similarities within that set, floored unless
/// [`SimilarityFloor::None`] is chosen. With λ(S) the eigenvalues of S in ascending order,
///
/// ```text
/// q = ⟨λ(S_1), λ(S_2)⟩ / (B(B−1))
/// ```
///
/// is the spectral upper bound of the quadratic assignment problem max_P tr(S_1 P S_2 Pᵀ), normalised; for K > 2 views,
/// the mean of q over the K(K−1)/2 pairs of view sets. There is one eigendecomposition a set, not one a pair.
///
/// The gradient, ∂q/∂S_1 = U_1 diag(λ(S_2)) U_1ᵀ / (B(B−1)), needs no derivative of an eigenvector and is finite where
/// eigenvalues coincide.
///
/// [`SetTerm`] has other functions of the S_k in the place of q, which need no eigenvalues: the mean over all pairs comes from K
/// norms or means then.
///
/// On the CPU, embeddings of f32 are decomposed in f32. ∂q/∂S, or without a floor and with B > D + 1 the derivative by the Gram matrix
/// of [1, Ẑ], is then off by up to 1e-5 of its norm: eigenvectors whose part in it is less than that are left out, and the others are
/// made as precise as that takes. f64 embeddings and other backends are decomposed in f64.
///
/// Source: Moskalev, Sosnovik, Fischer, Smeulders, "Contrasting quadratic assignments for set-based representation
/// learning" (ECCV 2022), section 3.2; Finke, Burkard, Rendl, "Quadratic assignment problems" (1987).
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct Qare {
    pub(crate) similarity_floor: SimilarityFloor,
    pub(crate) set_term: SetTerm,
}

impl Default for Qare {
    fn default() -> Self {
        QareConfig::new().init()
    }
}

impl ModuleDisplay for Qare {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add_debug_attribute("similarity_floor", &self.similarity_floor)
            .add_debug_attribute("set_term", &self.set_term)
            .optional()
    }
}

impl Qare {
    /// The regulariser `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, or the embeddings are not finite. (On a GPU nothing is read back
    /// unless the term is [`SetTerm::Spectral`]: of embeddings that are not finite the value is NaN or infinite.)
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let reads = self.reads_embeddings(embeddings.dims()[0], views);
        let Some(rows) = UnitRows::of(&embeddings, views, reads)? else {
            #[cfg(feature = "cubecl")]
            if let Some(term) = self.in_kernels(&embeddings, views)? {
                return Ok(term);
            }
            return self.forward_generic(embeddings, views);
        };
        let differentiate = B::ad_enabled(&embeddings.device());
        let term = rows.set_term(self, views, differentiate)?;
        rows.attach(term, embeddings)
    }

    /// Whether a GPU gives its embeddings to the host, which computes the whole objective. The spectral term is computed there in any
    /// case, and a copy of the embeddings is smaller than one of the matrices. Of large batches the host would take too long for the
    /// rest.
    pub(crate) fn reads_embeddings(&self, rows: usize, views: Views) -> bool {
        const MOST_IMAGES: usize = 1024;
        self.set_term == SetTerm::Spectral && rows <= MOST_IMAGES * views.count()
    }

    /// [`forward`](Self::forward) in tensor operations, and spectra by a decomposition in f64, as backends of a GPU compute it; the
    /// tests compare the two.
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
        views.images(embeddings.dims()[0])?;
        if computes_on_host::<B>(&embeddings.device()) {
            all_finite(&embeddings, views)?;
        }
        let found = match (self.similarity_floor, self.set_term) {
            (SimilarityFloor::None, SetTerm::Spectral) => set_term::spectral(embeddings.clone(), views),
            (SimilarityFloor::None, SetTerm::Frobenius) => set_term::frobenius(embeddings.clone(), views),
            (SimilarityFloor::None, SetTerm::Centred) => set_term::centred(embeddings.clone(), views),
            (SimilarityFloor::None, SetTerm::Mean) => set_term::mean(embeddings.clone(), views),
            (SimilarityFloor::None, SetTerm::Uniformity) => {
                let sets = unit_embeddings(views.sets(embeddings.clone())?);
                set_term::uniformity_of_matrices(sets.clone().matmul(sets.transpose()))
            }
            (SimilarityFloor::Epsilon, _) => self.floored(embeddings.clone(), views),
        };
        // What no matrix can be made of is named where it is from.
        if let Err(ObjectiveError::NonFinite { .. }) = found {
            all_finite(&embeddings, views)?;
        }
        found
    }

    fn floored<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let sets = views.sets(embeddings)?; // [K, B, D]
        let Similarities { matrix, short, .. } = Similarity::FlooredCosine.within(sets); // [K, B, B]
        // ẑ·ẑ = 1 whatever z is, unless it is shorter than the floor. Its gradient, zero, would be the difference of two numbers
        // that dwarf all others.
        let [count, images, _] = matrix.dims();
        let all = |mask: Tensor<B, 3, Bool>| mask.expand([count, images, images]);
        let itself = all(diagonal::<B>(images, &matrix.device()).unsqueeze::<3>()).bool_and(all(short.bool_not()));
        let constant = matrix.clone().detach();
        self.of_similarities(matrix.mask_where(itself, constant), Entries::OfCosines)
    }

    /// The regulariser `[1]` of the similarities `[K, B, B]` within each view set (without the added 1), in f32
    /// also for similarities of f16 and bf16.
    ///
    /// # Errors
    /// When there are fewer than 2 sets or images, an entry is not finite, or the regulariser leaves the range of its type. (On a GPU
    /// the last two are looked for with [`SetTerm::Spectral`] alone: the value is NaN or infinite else.)
    pub fn forward_similarities<B: Backend>(&self, similarities: Tensor<B, 3>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let shape @ [sets, images, width] = similarities.dims();
        if sets < 2 || images < 2 || images != width {
            return Err(ObjectiveError::BadSetShape { shape });
        }
        let similarities = at_least_f32(similarities);
        if self.set_term != SetTerm::Spectral && computes_on_host::<B>(&similarities.device()) {
            finite_matrices(&similarities, SET)?;
        }
        self.of_similarities(similarities, Entries::Any)
    }

    fn of_similarities<B: Backend>(
        &self,
        similarities: Tensor<B, 3>,
        entries: Entries,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self.set_term {
            SetTerm::Spectral => set_term::spectral_of_matrices(similarities + 1.0),
            SetTerm::Frobenius => set_term::frobenius_of_matrices(similarities + 1.0, entries),
            // J(1 + s)J = J s J.
            SetTerm::Centred => set_term::centred_of_matrices(similarities, entries),
            SetTerm::Mean => set_term::mean_of_matrices(similarities + 1.0),
            SetTerm::Uniformity => set_term::uniformity_of_matrices(similarities),
        }
    }
}

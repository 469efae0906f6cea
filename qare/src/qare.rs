use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Bool, DType, Tensor, TensorData, backend::Backend};
use qare_host::computes_on_host;

use crate::gradient::with_large_gradient;
use crate::gram::floorless;
use crate::host::UnitRows;
use crate::inspection::{all_finite, overflow};
use crate::rounding::at_least_f32;
use crate::similarity::Similarities;
use crate::spectrum::{SET, eigen_of};
use crate::views::diagonal;
use crate::{ObjectiveError, Similarity, SymmetricEigen, Views};

/// Configuration of [`Qare`].
#[derive(Config, Debug)]
pub struct QareConfig {
    /// What similarities are cut off at from below.
    #[config(default = "SimilarityFloor::Epsilon")]
    pub similarity_floor: SimilarityFloor,
}

/// What the set term's similarities are cut off at from below.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum SimilarityFloor {
    /// s_ij = max(ẑ_i·ẑ_j, 1e-8), as the reference implementation has it. The cost grows as B³.
    Epsilon,
    /// s_ij = ẑ_i·ẑ_j. S has then rank D + 1 at most, its spectrum is found from a matrix of that size, exactly, and the cost is linear
    /// in B.
    None,
}

impl QareConfig {
    /// The regulariser.
    pub fn init(&self) -> Qare {
        Qare { similarity_floor: self.similarity_floor }
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
/// On the CPU, embeddings of f32 are decomposed in f32, and ∂q/∂S is then off by up to 1e-5 of its norm: eigenvectors whose part
/// in it is less than that are left out, and the others are made as precise as that takes. f64 embeddings, other backends, and
/// [`SimilarityFloor::None`] are decomposed in f64.
///
/// Source: Moskalev, Sosnovik, Fischer, Smeulders, "Contrasting quadratic assignments for set-based representation
/// learning" (ECCV 2022), section 3.2; Finke, Burkard, Rendl, "Quadratic assignment problems" (1987).
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct Qare {
    similarity_floor: SimilarityFloor,
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
        content.add_debug_attribute("similarity_floor", &self.similarity_floor).optional()
    }
}

impl Qare {
    pub(crate) fn is_floorless(&self) -> bool {
        self.similarity_floor == SimilarityFloor::None
    }

    /// The regulariser `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, or the embeddings are not finite.
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        // What has no floor is small enough for tensor operations everywhere.
        let rows = if self.is_floorless() { None } else { UnitRows::of(&embeddings, views)? };
        let Some(rows) = rows else { return self.forward_generic(embeddings, views) };
        let differentiate = B::ad_enabled(&embeddings.device());
        let term = rows.set_term(views, differentiate)?;
        rows.attach(term, embeddings)
    }

    /// [`forward`](Self::forward) in tensor operations and a decomposition in f64, as backends of a GPU compute it; the tests compare the two.
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
        let found = match self.similarity_floor {
            SimilarityFloor::None => floorless(embeddings.clone(), views),
            SimilarityFloor::Epsilon => self.floored(embeddings.clone(), views),
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
        self.forward_similarities(matrix.mask_where(itself, constant))
    }

    /// The regulariser `[1]` of the similarities `[K, B, B]` within each view set (without the added 1), in f32
    /// also for similarities of f16 and bf16.
    ///
    /// # Errors
    /// When there are fewer than 2 sets or images, an entry is not finite, or the regulariser leaves the range of its type.
    pub fn forward_similarities<B: Backend>(&self, similarities: Tensor<B, 3>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let shape @ [sets, images, width] = similarities.dims();
        if sets < 2 || images < 2 || images != width {
            return Err(ObjectiveError::BadSetShape { shape });
        }
        let similarities = at_least_f32(similarities) + 1.0;
        let eigen = eigen_of(similarities.clone(), SET)?;
        spectral_bound(similarities, eigen, images)
    }
}

/// What the spectra of K view sets of B images come to.
pub(crate) struct Pairing {
    /// q, the mean of ⟨λ_k, λ_l⟩ / (B(B−1)) over all pairs of sets.
    pub value: f64,
    /// μ_k = Σ_{l≠k} λ_l, so that ∂q/∂λ_k = `scale` · μ_k.
    pub partners: Vec<Vec<f64>>,
    pub scale: f64,
}

impl Pairing {
    /// Of the eigenvalues of each set, as many for each.
    pub fn new(values: &[impl AsRef<[f64]>], images: usize) -> Self {
        let values: Vec<&[f64]> = values.iter().map(AsRef::as_ref).collect();
        let sets = values.len();
        let pairs = (sets * (sets - 1) / 2) as f64;
        let scale = 1.0 / (pairs * images as f64 * (images - 1) as f64);
        let total: Vec<f64> = (0..values[0].len()).map(|i| values.iter().map(|own| own[i]).sum()).collect();
        let partners: Vec<Vec<f64>> =
            values.iter().map(|own| own.iter().zip(&total).map(|(own, all)| all - own).collect()).collect();
        // Σ_k ⟨λ_k, μ_k⟩ counts every unordered pair twice.
        let product: f64 =
            values.iter().copied().flatten().zip(partners.iter().flatten()).map(|(own, others)| own * others).sum();
        Self { value: product * scale / 2.0, partners, scale }
    }
}

/// Mean of ⟨λ_k, λ_l⟩ / (B(B−1)) over the pairs of `matrices` `[K, N, N]`, given their eigenvalues, for sets of B = `images`.
///
/// # Errors
/// When it leaves the range of the matrices' numbers.
pub(crate) fn spectral_bound<B: Backend>(
    matrices: Tensor<B, 3>,
    eigen: SymmetricEigen<B>,
    images: usize,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let (device, dtype) = (matrices.device(), matrices.dtype());
    let [sets, size, _] = matrices.dims();
    let Pairing { value, partners, scale } = Pairing::new(&eigen.values, images);
    let largest = if dtype == DType::F64 { f64::MAX } else { f32::MAX.into() };
    if value.abs() > largest || value.is_nan() {
        return Err(overflow("the product of the spectra of the view sets", dtype));
    }
    let value = Tensor::from_data(TensorData::from([value]), (&device, dtype));
    if !B::ad_enabled(&device) {
        return Ok(value);
    }

    let weights: Vec<f64> = partners.into_iter().flatten().map(|others| others * scale).collect();
    let weights = TensorData::new(weights, [sets, size, 1]);
    let weighted = eigen.vectors.clone() * Tensor::from_data(weights, (&device, dtype));
    let gradient = eigen.vectors.transpose().matmul(weighted); // Vᵀ diag(μ) V: [K, N, N]
    Ok(with_large_gradient(value, matrices, gradient))
}

//! ⟨λ(S_1), λ(S_2)⟩ / (B(B−1)).

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

use crate::gradient::with_large_gradient;
use crate::inspection::overflow;
use crate::similarity::unit_embeddings;
use crate::spectrum::{SET, eigen_of};
use crate::{ObjectiveError, SymmetricEigen, Views};

/// Of similarities without a floor, S_k = 1 + Ẑ_k Ẑ_kᵀ, of embeddings `[K·B, D]`.
///
/// S_k = F_k F_kᵀ with F_k = [1, Ẑ_k] `[B, D + 1]`, so its eigenvalues are those of F_kᵀ F_k `[D + 1, D + 1]` and zeros: the smaller of
/// the two matrices is decomposed, and for B > D + 1 the cost is linear in B. With V and λ of the Gram matrices,
/// ∂q/∂F_1 = 2 F_1 V_1 diag(λ_2) V_1ᵀ / (B(B − 1)).
pub(crate) fn spectral<B: Backend>(embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
    let sets = unit_embeddings(views.sets(embeddings)?); // [K, B, D]
    let [count, images, dim] = sets.dims();
    let ones = Tensor::ones([count, images, 1], (&sets.device(), sets.dtype()));
    let factors = Tensor::cat(vec![ones, sets], 2); // F: [K, B, D + 1]
    let transposed = factors.clone().transpose();
    let matrices = match images > dim + 1 {
        true => transposed.matmul(factors),
        false => factors.matmul(transposed),
    };
    let eigen = eigen_of(matrices.clone(), GRAM)?;
    spectral_bound(matrices, eigen, images)
}

/// Of matrices S `[K, B, B]`.
pub(crate) fn spectral_of_matrices<B: Backend>(matrices: Tensor<B, 3>) -> Result<Tensor<B, 1>, ObjectiveError> {
    let [_, images, _] = matrices.dims();
    let eigen = eigen_of(matrices.clone(), SET)?;
    spectral_bound(matrices, eigen, images)
}

/// What F_kᵀ F_k is called in errors.
pub(crate) const GRAM: &str = "the Gram matrix of view set";

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

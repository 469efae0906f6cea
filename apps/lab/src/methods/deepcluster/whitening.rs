//! PCA whitening and scaling to unit length, which prepare features for clustering.

use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor, TensorData};
use qare::symmetric_eigen;

use crate::error::{LabError, Result};
use crate::evaluation::features::{Features, values};

/// Features with at least this number of dimensions keep half of their components.
const MANY: usize = 512;

/// Components whose variance is below this fraction of the largest variance hold rounding errors only.
const NEGLIGIBLE: f64 = 1e-9;

/// Whitens features and scales each row to unit length: z / |z| with z = (x − mean)·U·diag(λ)^−½.
///
/// The columns of U are the principal components, and λ their variances with divisor N − 1. From 512 dimensions on, only the half of
/// the components with the largest variances is used. Components without variance become 0.
///
/// # Errors
/// If a feature is NaN or infinite.
pub fn whitened<B: Backend>(features: &Features, device: &Device<B>) -> Result<Features> {
    let (rows, dim) = (features.len(), features.dim);
    let mut mean = vec![0.0f64; dim];
    for row in features.values.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    mean.iter_mut().for_each(|mean| *mean /= rows as f64);
    let centred = features
        .values
        .chunks_exact(dim)
        .flat_map(|row| row.iter().zip(&mean).map(|(x, m)| (f64::from(*x) - m) as f32));
    let centred = Tensor::<B, 2>::from_data(TensorData::new(centred.collect::<Vec<f32>>(), [rows, dim]), device);
    let covariance = centred.clone().transpose().matmul(centred.clone()) / (rows.max(2) - 1) as f64; // [F, F]
    let eigen = symmetric_eigen(covariance.unsqueeze::<3>())
        .map_err(|error| LabError::Failed(format!("the features cannot be clustered, their covariance: {error}")))?;

    let kept = if dim >= MANY { dim / 2 } else { dim };
    let variances = &eigen.values[0]; // ascending
    let largest = variances.last().copied().unwrap_or_default();
    let scale = variances
        .iter()
        .map(|variance| if *variance > NEGLIGIBLE * largest { variance.powf(-0.5) as f32 } else { 0.0 });
    let scale = Tensor::<B, 2>::from_data(TensorData::new(scale.collect::<Vec<f32>>(), [dim, 1]), device);
    let components = eigen.vectors.squeeze_dim::<2>(0) * scale; // row j is the component of variance j
    let components = components.narrow(0, dim - kept, kept);
    let z = centred.matmul(components.transpose()); // [N, kept]
    let norms = (z.clone() * z.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
    Ok(Features { values: values(z / norms), dim: kept, labels: features.labels.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};
    use qare_data::{Draw, Purpose};

    /// Correlated features of very different scales.
    fn features(rows: usize, dim: usize) -> Features {
        let mut draw = Draw::new(3, Purpose::Picture, 0, 0, 0);
        let mut values = Vec::new();
        for _ in 0..rows {
            let common = draw.bell();
            values.extend((0..dim).map(|j| 5.0 + (common + draw.bell()) * 0.1f32.powi(j as i32 % 3)));
        }
        Features { values, dim, labels: vec![0; rows] }
    }

    #[test]
    fn before_scaling_to_unit_length_rows_have_unit_covariance() {
        let (rows, dim) = (4000, 6);
        let features = features(rows, dim);
        let found = whitened::<Plain>(&features, &any_device()).unwrap();
        assert_eq!((found.dim, found.len()), (dim, rows));
        for row in found.values.chunks_exact(dim) {
            assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        // Whitened rows point evenly in all directions: the second moment of the unit rows is the identity divided by `dim`.
        for i in 0..dim {
            for j in 0..=i {
                let moment: f32 = found.values.chunks_exact(dim).map(|row| row[i] * row[j]).sum::<f32>() / rows as f32;
                let expected = if i == j { 1.0 / dim as f32 } else { 0.0 };
                assert!((moment - expected).abs() < 0.02, "{i} {j}: {moment}");
            }
        }
    }

    #[test]
    fn cosines_equal_those_of_the_mahalanobis_product() {
        // In any basis of the eigensolver, the cosine of two whitened rows is x·C⁻¹·y / (|x| |y|), with the norms of the same
        // product. The test inverts the 2×2 matrix C directly.
        let features = features(50, 2);
        let n = features.len() as f64;
        let mean = [0, 1].map(|j| features.values.chunks_exact(2).map(|row| f64::from(row[j])).sum::<f64>() / n);
        let rows: Vec<[f64; 2]> =
            features.values.chunks_exact(2).map(|row| [0, 1].map(|j| f64::from(row[j]) - mean[j])).collect();
        let c = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>() / (n - 1.0);
        let (a, b, d) = (c(0, 0), c(0, 1), c(1, 1));
        let det = a * d - b * b;
        let product = |x: &[f64; 2], y: &[f64; 2]| (x[0] * (d * y[0] - b * y[1]) + x[1] * (a * y[1] - b * y[0])) / det;
        let found = whitened::<Plain>(&features, &any_device()).unwrap();
        for (i, x) in rows.iter().enumerate() {
            for (j, y) in rows.iter().enumerate() {
                let expected = product(x, y) / (product(x, x) * product(y, y)).sqrt();
                let cosine: f32 = (0..2).map(|k| found.values[2 * i + k] * found.values[2 * j + k]).sum();
                assert!((f64::from(cosine) - expected).abs() < 2e-3, "{i} {j}: {cosine} {expected}");
            }
        }
    }

    #[test]
    fn many_dimensions_are_halved_and_constant_ones_are_ignored() {
        let mut wide = features(40, MANY);
        wide.values.chunks_exact_mut(MANY).for_each(|row| row[7] = 1.0);
        let found = whitened::<Plain>(&wide, &any_device()).unwrap();
        assert_eq!(found.dim, MANY / 2);
        assert!(found.values.iter().all(|value| value.is_finite()));
    }
}

//! Euclidean distances of rows, and gradients with respect to them.

use burn::tensor::{Tensor, backend::Backend};

use crate::gradient::with_gradient;

/// Differences of rows that are held at once.
const MOST_ENTRIES: usize = 1 << 23;

/// ‖u_i − v_j‖ of rows u `[N, D]` and v `[M, D]`.
///
/// They are the lengths of the differences, not √(2 − 2 u·v): of rows that are nearly alike, that would be rounding, and of equal rows it
/// would not be 0.
pub(super) struct Distances<B: Backend> {
    /// `[N, M]`, off the graph.
    pub values: Tensor<B, 2>,
    rows: Tensor<B, 2>,
    /// None where v is u.
    references: Option<Tensor<B, 2>>,
}

impl<B: Backend> Distances<B> {
    /// Of rows on the graph.
    pub fn of(rows: Tensor<B, 2>, references: Option<Tensor<B, 2>>) -> Self {
        let u = rows.clone().detach();
        let v = references.as_ref().unwrap_or(&rows).clone().detach();
        let ([count, dim], [others, _]) = (u.dims(), v.dims());
        let v: Tensor<B, 3> = v.unsqueeze();
        let at_once = (MOST_ENTRIES / (others * dim)).clamp(1, count);
        let parts = (0..count).step_by(at_once).map(|start| {
            let part = at_once.min(count - start);
            let differences = u.clone().narrow(0, start, part).unsqueeze_dim::<3>(1) - v.clone(); // [part, M, D]
            (differences.clone() * differences).sum_dim(2).reshape([part, others]).sqrt()
        });
        Self { values: Tensor::cat(parts.collect(), 0), rows, references }
    }

    /// `value` `[1]`, with `slopes` `[N, M]` as its derivative with respect to the distances. That of a distance is taken to be 0 where the
    /// distance is.
    ///
    /// With W = slopes / distances, ∂L/∂u_i = Σ_j W_ij (u_i − v_j).
    pub fn with_gradient(self, value: Tensor<B, 1>, slopes: Tensor<B, 2>) -> Tensor<B, 1> {
        if !B::ad_enabled(&self.rows.device()) {
            return value;
        }
        let none = self.values.clone().equal_elem(0.0);
        let weights = (slopes / self.values.mask_fill(none.clone(), 1.0)).mask_fill(none, 0.0);
        let u = self.rows.clone().detach();
        match self.references {
            None => {
                let weights = weights.clone() + weights.transpose();
                let gradient = u.clone() * weights.clone().sum_dim(1) - weights.matmul(u);
                with_gradient(value, self.rows, gradient)
            }
            Some(references) => {
                let v = references.clone().detach();
                let of_rows = u.clone() * weights.clone().sum_dim(1) - weights.clone().matmul(v.clone());
                let weights = weights.transpose();
                let of_references = v * weights.clone().sum_dim(1) - weights.matmul(u);
                let zero = Tensor::zeros_like(&value);
                with_gradient(value, self.rows, of_rows) + with_gradient(zero, references, of_references)
            }
        }
    }
}

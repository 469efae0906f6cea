//! Learned directions, one for each identity, and what the losses over them are functions of.

use burn::module::{Initializer, Param};
use burn::tensor::{Bool, Int, Tensor, backend::Backend};
use qare_host::computes_on_host;

use super::pairs::{Guard, guarded, unit_rows};
use crate::ObjectiveError;
use crate::inspection::finite_rows;
use crate::rounding::at_least_f32;

/// C proxies `[C, D]`, each entry drawn from a normal distribution with mean 0 and this standard deviation.
///
/// # Errors
/// When there is no identity or no dimension.
pub(super) fn drawn<B: Backend>(
    identities: usize,
    dim: usize,
    std: f64,
    device: &B::Device,
) -> Result<Param<Tensor<B, 2>>, ObjectiveError> {
    for (parameter, value) in [("the number of identities", identities), ("the dimension of the proxies", dim)] {
        if value == 0 {
            return Err(ObjectiveError::InvalidParameter { parameter, value: 0.0, expected: "at least 1" });
        }
    }
    Ok(Initializer::Normal { mean: 0.0, std }.init([identities, dim], device))
}

/// Rows, proxies, and which proxy is a row's own.
pub(super) struct ProxyPairs<B: Backend> {
    /// Rows of length one `[N, D]`, on the graph.
    pub rows: Tensor<B, 2>,
    /// Proxies of length one `[C, D]`, on the graph.
    pub proxies: Tensor<B, 2>,
    /// Which proxy is a row's own `[N, C]`.
    pub own: Tensor<B, 2, Bool>,
    /// As given `[N]`.
    pub labels: Tensor<B, 1, Int>,
    /// Makes NaN of the loss if the input has none.
    pub guard: Guard<B>,
}

impl<B: Backend> ProxyPairs<B> {
    /// Of embeddings `[N, D]` with labels `[N]` from 0 to C − 1, and proxies `[C, D]`.
    ///
    /// # Errors
    /// When the two are not of one dimension, there is no row, or not one label for each. On a backend whose tensors are in the host's
    /// memory: when a row or a proxy holds NaN or infinity, or a label is none of 0 to C − 1.
    pub fn new(
        embeddings: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
        proxies: &Param<Tensor<B, 2>>,
    ) -> Result<Self, ObjectiveError> {
        let proxies = at_least_f32(proxies.val());
        let ([_, dim], [identities, proxy_dim]) = (embeddings.dims(), proxies.dims());
        if dim != proxy_dim {
            return Err(ObjectiveError::UnlikeProxies { embeddings: embeddings.dims(), proxies: proxies.dims() });
        }
        let (rows, guard) = guarded(embeddings, &labels, "embeddings")?;
        let rows = unit_rows(rows);
        if computes_on_host::<B>(&rows.device()) {
            finite_rows(&proxies, |row| format!("proxy {row} (counted from 0)"))?;
            labels_in_range(&labels, identities)?;
        }
        let proxies = unit_rows(proxies.cast(rows.dtype()));
        let shape @ [count, _] = [rows.dims()[0], identities];
        let numbers = Tensor::<B, 1, Int>::arange(0..identities as i64, &rows.device());
        let numbers = numbers.cast(labels.dtype()).reshape([1, identities]).expand(shape);
        let own = labels.clone().reshape([count, 1]).expand(shape).equal(numbers);
        // The logarithm of 0 labels is −∞, and 0 times that NaN.
        let poison = guard.0.map(|poison| {
            let found = own.clone().float().cast(rows.dtype()).sum_dim(1);
            poison + found.log().sum() * 0.0 + proxies.clone().detach().sum() * 0.0
        });
        Ok(Self { rows, proxies, own, labels, guard: Guard(poison) })
    }

    /// û_i·p̂_c `[N, C]`, on the graph.
    pub fn similarities(&self) -> Tensor<B, 2> {
        self.rows.clone().matmul(self.proxies.clone().transpose())
    }

    /// The entry of each row's own proxy `[N, 1]`.
    pub fn of_own(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        x.mask_fill(self.own.clone().bool_not(), 0.0).sum_dim(1)
    }
}

/// # Errors
/// When a label is none of 0 to `identities` − 1.
fn labels_in_range<B: Backend>(labels: &Tensor<B, 1, Int>, identities: usize) -> Result<(), ObjectiveError> {
    let data = labels.clone().into_data();
    match data.iter::<i64>().enumerate().find(|(_, label)| !(0..identities as i64).contains(label)) {
        Some((row, label)) => Err(ObjectiveError::LabelOutOfRange { label, row, identities }),
        None => Ok(()),
    }
}

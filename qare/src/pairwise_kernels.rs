//! The pairwise terms with cosine similarities in a few kernels, on GPU backends that have kernels.

use burn::tensor::{DType, Tensor, backend::Backend};
use qare_cube::{Call, is_registered, run_if_registered};
use qare_host::{primitive, tensor};

use crate::gradient::with_gradient;
use crate::sparsemax::rounds_of_kernel;
use crate::{NtXent, NtXentReduction, ObjectiveError, Similarity, SparseClr, Views};

/// The outputs of a call on a backend with kernels, off the graph.
fn run<B: Backend, const N: usize>(call: Call, inputs: &[&Tensor<B, 2>]) -> [Tensor<B, 2>; N] {
    let inputs = inputs.iter().map(|input| primitive((*input).clone().detach())).collect();
    let outputs = run_if_registered::<B>(call, inputs).expect("the backend has kernels");
    let outputs: Vec<_> = outputs.into_iter().map(tensor).collect();
    outputs.try_into().expect("a call has a fixed number of outputs")
}

/// Embeddings `[N, D]` and their cosines, on a backend with kernels.
struct Cosines<B: Backend> {
    /// Rows divided by their norms `[N, D]`.
    units: Tensor<B, 2>,
    /// `[N, 1]`.
    norms: Tensor<B, 2>,
    /// `[N, N]`.
    cosines: Tensor<B, 2>,
}

impl<B: Backend> Cosines<B> {
    /// None if there are no kernels for these embeddings, or another similarity is asked for.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images.
    fn of(embeddings: &Tensor<B, 2>, similarity: Similarity, views: Views) -> Result<Option<Self>, ObjectiveError> {
        if embeddings.dtype() != DType::F32 || similarity != Similarity::Cosine || !is_registered::<B>() {
            return Ok(None);
        }
        views.images(embeddings.dims()[0])?;
        let [units, norms] = run(Call::UnitRows, &[embeddings]);
        let cosines = units.clone().matmul(units.clone().transpose());
        Ok(Some(Self { units, norms, cosines }))
    }

    /// `value`, with the gradient that belongs to these derivatives with respect to similarities, each row times its weight.
    fn attach(
        self,
        value: Tensor<B, 1>,
        embeddings: &Tensor<B, 2>,
        derivatives: &Tensor<B, 2>,
        weights: Option<&Tensor<B, 2>>,
    ) -> Tensor<B, 1> {
        if !B::ad_enabled(&embeddings.device()) {
            return value;
        }
        let call = Call::CosineGradient { weighted: weights.is_some() };
        let inputs: Vec<_> = [&self.cosines, &self.norms, derivatives].into_iter().chain(weights).collect();
        let [factors, radial] = run(call, &inputs);
        let gradient = factors.matmul(self.units.clone()) - self.units * radial;
        with_gradient(value, embeddings.clone(), gradient)
    }
}

impl NtXent {
    /// The loss, if the backend has kernels for it: that of tensor operations, up to rounding.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), of what is known without reading anything back.
    pub(crate) fn in_kernels<B: Backend>(
        &self,
        embeddings: &Tensor<B, 2>,
        views: Views,
    ) -> Result<Option<Tensor<B, 1>>, ObjectiveError> {
        let Some(of) = Cosines::of(embeddings, self.similarity, views)? else { return Ok(None) };
        self.check_temperature(embeddings.dtype())?;
        let call = qare_cube::NtXent {
            views: views.count(),
            temperature: self.temperature,
            mean_of_logs: self.reduction == NtXentReduction::MeanOfLogs,
        };
        let [log_sums, excesses, derivatives] = run(Call::NtXentOfRows(call), &[&of.cosines, &of.norms]);
        let [value, weights] = run(Call::NtXentOfAll(call), &[&log_sums, &excesses]);
        Ok(Some(of.attach(value.reshape([1]), embeddings, &derivatives, Some(&weights))))
    }
}

impl SparseClr {
    /// The loss, if the backend has kernels for it: that of tensor operations, up to rounding.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), of what is known without reading anything back.
    pub(crate) fn in_kernels<B: Backend>(
        &self,
        embeddings: &Tensor<B, 2>,
        views: Views,
    ) -> Result<Option<Tensor<B, 1>>, ObjectiveError> {
        let Some(of) = Cosines::of(embeddings, self.similarity, views)? else { return Ok(None) };
        let rounds = rounds_of_kernel(embeddings.dims()[0]);
        let call = qare_cube::SparseClr { views: views.count(), margin: self.margin, rounds };
        let [losses, derivatives] = run(Call::SparseClr(call), &[&of.cosines, &of.norms]);
        Ok(Some(of.attach(losses.mean(), embeddings, &derivatives, None)))
    }
}

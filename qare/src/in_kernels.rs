//! The terms of cosine similarities in a few kernels, on GPU backends that have kernels.

use burn::tensor::{DType, Tensor, backend::Backend};
use qare_cube::{Call, CosineGradient, is_registered, run_if_registered};
use qare_host::{primitive, tensor};

use crate::gradient::with_gradient;
use crate::qare::SimilarityFloor;
use crate::sparsemax::rounds_of_kernel;
use crate::{NtXent, NtXentReduction, ObjectiveError, Qare, SetTerm, Similarity, SparseClr, Views};

/// The outputs of a call on a backend with kernels, off the graph.
fn run<B: Backend, const N: usize>(call: Call, inputs: &[&Tensor<B, 2>]) -> [Tensor<B, 2>; N] {
    let inputs = inputs.iter().map(|input| primitive((*input).clone().detach())).collect();
    let outputs = run_if_registered::<B>(call, inputs).expect("the backend has kernels");
    let outputs: Vec<_> = outputs.into_iter().map(tensor).collect();
    outputs.try_into().expect("a call has a fixed number of outputs")
}

/// The products of the matrices of two batches, off the graph.
fn product<B: Backend>(a: &Tensor<B, 3>, b: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [.., columns] = b.dims();
    let inputs = [a, b].map(|matrices| primitive(matrices.clone().detach())).into();
    let outputs = run_if_registered::<B>(Call::Product { columns }, inputs).expect("the backend has kernels");
    tensor(outputs.into_iter().next().expect("a product is one output"))
}

/// The cosines within K sets of B rows of embeddings, on a backend with kernels.
struct Cosines<B: Backend> {
    /// The embeddings, set by set, on the graph `[K·B, D]`.
    rows: Tensor<B, 2>,
    /// Divided by their norms `[K, B, D]`.
    units: Tensor<B, 3>,
    /// `[K·B, 1]`.
    norms: Tensor<B, 2>,
    /// `[K·B, B]`.
    cosines: Tensor<B, 2>,
    /// Whether similarities are [`Similarity::FlooredCosine`].
    floored: bool,
}

impl<B: Backend> Cosines<B> {
    /// Whether there are kernels for these embeddings.
    fn have_kernels(embeddings: &Tensor<B, 2>) -> bool {
        embeddings.dtype() == DType::F32 && is_registered::<B>()
    }

    /// Of so many sets of rows, which follow each other.
    fn of(rows: Tensor<B, 2>, sets: usize, similarity: Similarity) -> Self {
        let [count, dim] = rows.dims();
        let [units, norms] = run(Call::UnitRows, &[&rows]);
        let units = units.reshape([sets, count / sets, dim]);
        let cosines = product(&units, &units.clone().transpose()).reshape([count, count / sets]);
        Self { rows, units, norms, cosines, floored: similarity == Similarity::FlooredCosine }
    }

    /// `value`, with the gradient that belongs to these derivatives with respect to similarities, each row times its weight.
    fn attach(self, value: Tensor<B, 1>, derivatives: &Tensor<B, 2>, weights: Option<&Tensor<B, 2>>) -> Tensor<B, 1> {
        if !B::ad_enabled(&value.device()) {
            return value;
        }
        let call = Call::CosineGradient(CosineGradient { weighted: weights.is_some(), floored: self.floored });
        let inputs: Vec<_> = [&self.cosines, &self.norms, derivatives].into_iter().chain(weights).collect();
        let [factors, radial] = run(call, &inputs);
        let [sets, images, dim] = self.units.dims();
        let factors = factors.reshape([sets, images, images]);
        let gradient = product(&factors, &self.units) - self.units * radial.reshape([sets, images, 1]);
        with_gradient(value, self.rows, gradient.reshape([sets * images, dim]))
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
        if !Cosines::have_kernels(embeddings) {
            return Ok(None);
        }
        views.images(embeddings.dims()[0])?;
        self.check_temperature(embeddings.dtype())?;
        let of = Cosines::of(embeddings.clone(), 1, self.similarity);
        let call = qare_cube::NtXent {
            views: views.count(),
            temperature: self.temperature,
            mean_of_logs: self.reduction == NtXentReduction::MeanOfLogs,
            floored: of.floored,
        };
        let [log_sums, excesses, derivatives] = run(Call::NtXentOfRows(call), &[&of.cosines, &of.norms]);
        let [value, weights] = run(Call::NtXentOfAll(call), &[&log_sums, &excesses]);
        Ok(Some(of.attach(value.reshape([1]), &derivatives, Some(&weights))))
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
        if !Cosines::have_kernels(embeddings) {
            return Ok(None);
        }
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        let of = Cosines::of(embeddings.clone(), 1, self.similarity);
        let (views, rounds) = (views.count(), rounds_of_kernel(rows));
        let call = qare_cube::SparseClr { views, margin: self.margin, rounds, floored: of.floored };
        let [losses, derivatives] = run(Call::SparseClr(call), &[&of.cosines, &of.norms]);
        Ok(Some(of.attach(losses.mean(), &derivatives, None)))
    }
}

impl Qare {
    /// The regulariser, if the backend has kernels for it: that of tensor operations, up to rounding.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), of what is known without reading anything back.
    pub(crate) fn in_kernels<B: Backend>(
        &self,
        embeddings: &Tensor<B, 2>,
        views: Views,
    ) -> Result<Option<Tensor<B, 1>>, ObjectiveError> {
        let has_kernels = (self.set_term, self.similarity_floor) == (SetTerm::Frobenius, SimilarityFloor::Epsilon);
        if !has_kernels || !Cosines::have_kernels(embeddings) {
            return Ok(None);
        }
        let rows = views.sets(embeddings.clone())?.reshape(embeddings.shape());
        let of = Cosines::of(rows, views.count(), Similarity::FlooredCosine);
        let [squares, derivatives] = run(Call::SquaresOfRows, &[&of.cosines, &of.norms]);
        let [value, weights] = run(Call::FrobeniusOfSets { sets: views.count() }, &[&squares]);
        Ok(Some(of.attach(value.reshape([1]), &derivatives, Some(&weights))))
    }
}

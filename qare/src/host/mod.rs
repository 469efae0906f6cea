//! The objectives on CPU backends, computed on the host in blocks of rows that stay in the cache.
//!
//! An objective needs no more of its embeddings than their numbers, and gives back a value and a gradient. On a backend
//! whose tensors are in the host's memory anyway, [`UnitRows::of`] takes the numbers out, the modules below compute both
//! without ever holding an N×N matrix, and [`UnitRows::attach`] puts them back on the graph. The tensor code of the
//! objectives remains for every other backend and number format, and is what this is tested against.
//!
//! All sums run in a fixed order over fixed blocks, so that results do not depend on the number of threads.

mod alongside;
mod distances;
mod exponential;
mod nt_xent;
mod pairwise;
mod set_term;
mod sparse_clr;
mod threshold;
mod vectorized;

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use qare_host::computes_on_host;

use self::alongside::NormTerm;
pub(crate) use self::distances::LabelledRows;
use self::pairwise::Passes;
use self::vectorized::vectorized;
use crate::gradient::with_gradient;
use crate::inspection::{overflow, row_label};
use crate::range::power_of_two;
use crate::term::{Term, WeightedTerms, scalar};
use crate::{ObjectiveError, PairwiseTerm, Qare, SetTerm, Similarity, SimilarityFloor, Views};

/// Embeddings scaled to length 1, with the lengths they had.
pub(crate) struct UnitRows {
    /// ẑ, row by row.
    unit: Vec<f32>,
    /// Of the rows in `long`, in units of 1/[`SHRINK`].
    norms: Vec<f32>,
    /// Rows whose squared length is more than an f32 can be.
    long: Vec<usize>,
    dim: usize,
}

/// Images of a batch up to which the pairwise term is computed beside the set term even if there is no thread to spare: from
/// 1024 on it takes longer than the gaps it fills.
const FEW_IMAGES: usize = 512;

/// Shorter rows than this meet the floors under norms and their products: those are left to the tensor code.
const SHORTEST: f32 = 1e-4;

/// 2⁻¹⁰⁰, by which rows are multiplied before their length is taken if it could not be taken otherwise.
const SHRINK: f32 = power_of_two(-100) as f32;

impl UnitRows {
    /// The rows of `embeddings` `[N, D]`, or none where the tensor code has to do the work: on a GPU unless the objective `reads`
    /// its embeddings there, in another format than f32, or with rows that are all but zero.
    ///
    /// # Errors
    /// When a row holds NaN or infinity.
    pub fn of<B: Backend>(
        embeddings: &Tensor<B, 2>,
        views: Views,
        reads: bool,
    ) -> Result<Option<Self>, ObjectiveError> {
        if embeddings.dtype() != DType::F32 || !(reads || computes_on_host::<B>(&embeddings.device())) {
            return Ok(None);
        }
        let [_, dim] = embeddings.dims();
        let Ok(mut unit) = embeddings.clone().detach().into_data().into_vec::<f32>() else { return Ok(None) };
        let (norms, unusual) = vectorized(
            #[inline(always)]
            || {
                let mut norms = Vec::with_capacity(unit.len() / dim.max(1));
                let mut unusual = Vec::new();
                for (index, row) in unit.chunks_exact_mut(dim.max(1)).enumerate() {
                    let norm = pairwise::dot(row, row).sqrt();
                    norms.push(norm);
                    if norm >= SHORTEST && norm.is_finite() {
                        let inverse = 1.0 / norm;
                        row.iter_mut().for_each(|x| *x *= inverse);
                    } else {
                        unusual.push(index);
                    }
                }
                (norms, unusual)
            },
        );
        let mut rows = Self { unit, norms, long: Vec::new(), dim };
        let mut short = false;
        for index in unusual {
            let row = &mut rows.unit[index * dim..][..dim];
            if !row.iter().all(|x| x.is_finite()) {
                return Err(ObjectiveError::NonFinite { quantity: row_label(index, views) });
            }
            if rows.norms[index] < SHORTEST {
                short = true;
                continue;
            }
            row.iter_mut().for_each(|x| *x *= SHRINK);
            let norm = pairwise::dot(row, row).sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
            rows.norms[index] = norm;
            rows.long.push(index);
        }
        Ok((!short).then_some(rows))
    }

    fn count(&self) -> usize {
        self.norms.len()
    }

    /// The pairwise term, with its gradient if `differentiate`.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, or NT-Xent's temperature is out of range.
    pub fn pairwise(&self, term: &PairwiseTerm, views: Views, differentiate: bool) -> Result<Term, ObjectiveError> {
        views.images(self.count())?;
        Passes { rows: self, set_term: None }.term(term, views, differentiate)
    }

    /// The set term, with its gradient if `differentiate`.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images, or an eigendecomposition does not converge.
    pub fn set_term(&self, qare: &Qare, views: Views, differentiate: bool) -> Result<Term, ObjectiveError> {
        // On a thread of the pool all the while: going in and out of it takes time.
        rayon::scope(|_| set_term::term(self, qare, views, differentiate))
    }

    /// α·pairwise + β·set term, or α·pairwise without one, for the weights [α, β].
    ///
    /// # Errors
    /// Those of the terms.
    pub fn objective(
        &self,
        pairwise: &PairwiseTerm,
        qare: Option<&Qare>,
        weights: [f64; 2],
        views: Views,
        differentiate: bool,
    ) -> Result<WeightedTerms, ObjectiveError> {
        match qare {
            Some(
                qare @ Qare {
                    set_term: SetTerm::Frobenius | SetTerm::Centred,
                    similarity_floor: SimilarityFloor::Epsilon,
                },
            ) => rayon::scope(|_| self.alongside(pairwise, qare, weights, views, differentiate)),
            _ => self.both_terms(pairwise, qare, weights, views, differentiate),
        }
    }

    /// The objective with a term of norms of floored similarities.
    fn alongside(
        &self,
        pairwise: &PairwiseTerm,
        qare: &Qare,
        weights @ [alpha, beta]: [f64; 2],
        views: Views,
        differentiate: bool,
    ) -> Result<WeightedTerms, ObjectiveError> {
        views.images(self.count())?;
        let set_term = NormTerm::new(self, qare.set_term == SetTerm::Centred, views, weights);
        let mut passes = Passes { rows: self, set_term: Some(set_term) };
        let Term { value: pairwise, gradient } = passes.term(pairwise, views, differentiate)?;
        let (qare, total) = match passes.set_term {
            Some(term) => (term.value, Term { value: alpha * pairwise + beta * term.value, gradient }),
            None => {
                let set_term = set_term::term(self, qare, views, differentiate)?;
                (set_term.value, Term { value: pairwise, gradient }.weighted_sum(alpha, set_term, beta))
            }
        };
        Ok(WeightedTerms { pairwise, qare: Some(qare), total })
    }

    /// The objective by terms apart from each other, at the same time where threads are left.
    fn both_terms(
        &self,
        pairwise: &PairwiseTerm,
        qare: Option<&Qare>,
        [alpha, beta]: [f64; 2],
        views: Views,
        differentiate: bool,
    ) -> Result<WeightedTerms, ObjectiveError> {
        let set_term = || qare.map(|qare| set_term::term(self, qare, views, differentiate)).transpose();
        let pairwise = || self.pairwise(pairwise, views, differentiate);
        // A decomposition keeps one thread busy. The pairwise term takes threads that are left; with none left it fills the
        // gaps where one decomposition waits for another, but for large ones it would hold one up for longer than that.
        let few = self.count() <= FEW_IMAGES * views.count();
        let terms = || {
            if few || rayon::current_num_threads() > views.count() {
                rayon::join(pairwise, set_term)
            } else {
                (pairwise(), set_term())
            }
        };
        let (pairwise, set_term) = rayon::scope(|_| terms());
        let (pairwise, set_term) = (pairwise?, set_term?);
        let values = (pairwise.value, set_term.as_ref().map(|term| term.value));
        let total = match set_term {
            Some(set_term) => pairwise.weighted_sum(alpha, set_term, beta),
            None => pairwise.scaled(alpha),
        };
        Ok(WeightedTerms { pairwise: values.0, qare: values.1, total })
    }

    /// The value `[1]` on the graph of `embeddings`, from which these rows are, with `gradient` with respect to the unit rows.
    ///
    /// ∂/∂z = (I − ẑẑᵀ) ∂/∂ẑ / ‖z‖.
    ///
    /// # Errors
    /// When the value, or an entry of the gradient, is more than an f32 can be.
    pub fn attach<B: Backend>(&self, term: Term, embeddings: Tensor<B, 2>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let (device, shape) = (embeddings.device(), embeddings.dims());
        if !(term.value as f32).is_finite() {
            return Err(overflow("the loss", DType::F32));
        }
        let value = scalar::<B>(term.value, &device);
        let Some(mut gradient) = term.gradient else { return Ok(value) };
        let rows = gradient.chunks_exact_mut(self.dim).zip(self.unit.chunks_exact(self.dim)).zip(&self.norms);
        vectorized(
            #[inline(always)]
            || {
                for ((gradient, unit), norm) in rows {
                    let radial = pairwise::dot(gradient, unit) / pairwise::dot(unit, unit);
                    let inverse = 1.0 / norm;
                    for (g, u) in gradient.iter_mut().zip(unit) {
                        *g = (*g - radial * u) * inverse;
                    }
                }
            },
        );
        for row in &self.long {
            gradient[row * self.dim..][..self.dim].iter_mut().for_each(|g| *g *= SHRINK);
        }
        // 0 unless one of them is NaN or infinite: faster than looking at each.
        let nothing = vectorized(
            #[inline(always)]
            || pairwise::sum(&gradient, |g| g * 0.0),
        );
        if nothing != 0.0 {
            return Err(overflow("the gradient of the embeddings", DType::F32));
        }
        let gradient = Tensor::from_data(TensorData::new(gradient, shape), (&device, DType::F32));
        Ok(with_gradient(value, embeddings, gradient))
    }
}

impl Passes<'_> {
    /// The pairwise term, with its gradient, or that of both terms, if `differentiate`.
    ///
    /// # Errors
    /// When NT-Xent's temperature is out of range.
    fn term(&mut self, term: &PairwiseTerm, views: Views, differentiate: bool) -> Result<Term, ObjectiveError> {
        Ok(match term {
            PairwiseTerm::NtXent(loss) => {
                loss.check_temperature(DType::F32)?;
                nt_xent::term(self, loss, views, differentiate)
            }
            PairwiseTerm::SparseClr(loss) => sparse_clr::term(self, loss, views, differentiate),
        })
    }
}

impl Similarity {
    /// Least similarity, if there is one.
    fn floor(self) -> f32 {
        match self {
            Similarity::Cosine => f32::NEG_INFINITY,
            Similarity::FlooredCosine => crate::SIMILARITY_FLOOR as f32,
        }
    }
}

impl SimilarityFloor {
    /// Least similarity, if there is one.
    fn least(self) -> f32 {
        match self {
            SimilarityFloor::Epsilon => crate::SIMILARITY_FLOOR as f32,
            SimilarityFloor::None => f32::NEG_INFINITY,
        }
    }
}

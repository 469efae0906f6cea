//! The set term, fused.

mod factors;
mod floored;
mod mean;
mod norms;
mod spectral;
mod uniformity;

use faer::MatRef;

pub(super) use self::floored::{FLOOR, raised};
pub(super) use self::norms::NormPairing;

use super::{Term, UnitRows};
use crate::{ObjectiveError, Qare, SetTerm, SimilarityFloor, Views};

/// As [`Qare::forward`] defines it.
///
/// # Errors
/// When the rows are not K views each of at least 2 images, or an eigendecomposition does not converge.
pub(super) fn term(rows: &UnitRows, qare: &Qare, views: Views, differentiate: bool) -> Result<Term, ObjectiveError> {
    let sets = Sets { rows, count: views.count(), images: views.images(rows.count())? };
    match (qare.set_term, qare.similarity_floor) {
        (SetTerm::Spectral, floor) => spectral::term(&sets, floor, differentiate),
        (SetTerm::Frobenius, SimilarityFloor::None) => Ok(norms::term(&sets, differentiate, factors::frobenius)),
        (SetTerm::Centred, SimilarityFloor::None) => Ok(norms::term(&sets, differentiate, factors::centred)),
        (SetTerm::Frobenius, SimilarityFloor::Epsilon) => Ok(norms::term(&sets, differentiate, floored::frobenius)),
        (SetTerm::Centred, SimilarityFloor::Epsilon) => Ok(norms::term(&sets, differentiate, floored::centred)),
        (SetTerm::Mean, SimilarityFloor::None) => Ok(norms::term(&sets, differentiate, mean::mean)),
        (SetTerm::Mean, SimilarityFloor::Epsilon) => Ok(norms::term(&sets, differentiate, mean::floored)),
        (SetTerm::Uniformity, SimilarityFloor::None) => Ok(uniformity::term(&sets, f32::NEG_INFINITY, differentiate)),
        (SetTerm::Uniformity, SimilarityFloor::Epsilon) => Ok(uniformity::term(&sets, floored::FLOOR, differentiate)),
    }
}

/// The K view sets of a batch.
struct Sets<'a> {
    rows: &'a UnitRows,
    /// K.
    count: usize,
    /// B.
    images: usize,
}

impl Sets<'_> {
    /// The unit rows ẑ of a set.
    fn rows_of(&self, set: usize) -> impl Iterator<Item = &[f32]> {
        self.rows.unit.chunks_exact(self.rows.dim).skip(set).step_by(self.count)
    }

    /// The same as a matrix Ẑ `[B, D]`.
    fn matrix(&self, set: usize) -> MatRef<'_, f32> {
        let dim = self.rows.dim;
        MatRef::from_row_major_slice_with_stride(&self.rows.unit[set * dim..], self.images, dim, self.count * dim)
    }

    /// The gradients `[B, D]` of all sets in the order of the rows: `write` fills in those of a set.
    fn gathered(&self, write: impl Fn(usize, &mut dyn Iterator<Item = &mut [f32]>)) -> Vec<f32> {
        let mut gradient = vec![0.0; self.rows.unit.len()];
        for set in 0..self.count {
            write(set, &mut gradient.chunks_exact_mut(self.rows.dim).skip(set).step_by(self.count));
        }
        gradient
    }
}

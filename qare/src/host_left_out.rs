//! In the place of [`host`](self) where that is left out: tensor operations do all the work.

use burn::tensor::{Tensor, backend::Backend};

use crate::term::Term;
use crate::{ObjectiveError, PairwiseTerm, Qare, Views};

/// There are none.
pub(crate) enum UnitRows {}

impl UnitRows {
    pub fn of<B: Backend>(
        _embeddings: &Tensor<B, 2>,
        _views: Views,
        _reads: bool,
    ) -> Result<Option<Self>, ObjectiveError> {
        Ok(None)
    }

    pub fn pairwise(&self, _term: &PairwiseTerm, _views: Views, _gradient: bool) -> Result<Term, ObjectiveError> {
        match *self {}
    }

    pub fn set_term(&self, _qare: &Qare, _views: Views, _gradient: bool) -> Result<Term, ObjectiveError> {
        match *self {}
    }

    pub fn both_terms(
        &self,
        _pairwise: &PairwiseTerm,
        _qare: Option<&Qare>,
        _views: Views,
        _gradient: bool,
    ) -> Result<(Term, Option<Term>), ObjectiveError> {
        match *self {}
    }

    pub fn attach<B: Backend>(&self, _term: Term, _embeddings: Tensor<B, 2>) -> Result<Tensor<B, 1>, ObjectiveError> {
        match *self {}
    }
}

//! In the place of [`host`](self) where that is left out: tensor operations do all the work.

use burn::tensor::{Int, Tensor, backend::Backend};

use crate::metric::{Contrastive, TripletMargin};
use crate::term::{DistanceTerm, Term, WeightedTerms};
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

    pub fn objective(
        &self,
        _pairwise: &PairwiseTerm,
        _qare: Option<&Qare>,
        _weights: [f64; 2],
        _views: Views,
        _gradient: bool,
    ) -> Result<WeightedTerms, ObjectiveError> {
        match *self {}
    }

    pub fn attach<B: Backend>(&self, _term: Term, _embeddings: Tensor<B, 2>) -> Result<Tensor<B, 1>, ObjectiveError> {
        match *self {}
    }
}

/// There are none.
pub(crate) enum LabelledRows {}

impl LabelledRows {
    pub fn of<B: Backend>(
        _rows: (&Tensor<B, 2>, &Tensor<B, 1, Int>),
        _references: Option<(&Tensor<B, 2>, &Tensor<B, 1, Int>)>,
    ) -> Option<Self> {
        None
    }

    pub fn triplet_margin(&self, _loss: &TripletMargin, _gradient: bool) -> DistanceTerm {
        match *self {}
    }

    pub fn contrastive(&self, _loss: &Contrastive, _gradient: bool) -> DistanceTerm {
        match *self {}
    }
}

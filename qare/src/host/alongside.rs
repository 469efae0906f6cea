//! The Frobenius set term of floored similarities, computed along with a pairwise term.
//!
//! The similarities within a view set are among those of all rows, which the passes of a pairwise term go over. The set term then takes no
//! product of matrices of its own, and no time to speak of.

use super::UnitRows;
use super::pairwise::{sum_of_pairs, unless_floored};
use super::set_term::{FLOOR, NormPairing, raised};
use crate::Views;

/// The term of the view sets of a batch, and its weight in the objective.
pub(super) struct FrobeniusTerm {
    /// K.
    views: usize,
    /// B.
    images: usize,
    alpha: f32,
    beta: f64,
    /// For each view set a row: 1 for the images of the set, 0 for others.
    own: Vec<Vec<f32>>,
    /// The value of the term, once the first pass is over.
    pub value: f64,
    /// For each view set the row of [`own`](Self::own) times β · 2 ∂q/∂‖S‖ / ‖S‖.
    slopes: Vec<Vec<f32>>,
}

impl FrobeniusTerm {
    /// For α · pairwise + β · set term.
    pub fn new(rows: &UnitRows, views: Views, [alpha, beta]: [f64; 2]) -> Self {
        let (count, views) = (rows.count(), views.count());
        let own = |set| (0..count).map(|j| if j % views == set { 1.0 } else { 0.0 }).collect();
        Self {
            views,
            images: count / views,
            alpha: alpha as f32,
            beta,
            own: (0..views).map(own).collect(),
            value: f64::NAN,
            slopes: Vec::new(),
        }
    }

    /// Σ_j (1 + max(s_ij, floor))² over row i's own set, of the similarities s_i.
    #[inline(always)]
    pub fn square(&self, i: usize, similarities: &[f32]) -> f64 {
        let own = &self.own[i % self.views];
        sum_of_pairs(similarities, own, |s, own| own * (1.0 + raised(s)) * (1.0 + raised(s)))
    }

    /// Takes the squares of all rows.
    pub fn finish(&mut self, squares: impl Iterator<Item = f64>) {
        let mut norms = vec![0.0; self.views];
        for (i, square) in squares.enumerate() {
            norms[i % self.views] += square;
        }
        norms.iter_mut().for_each(|norm| *norm = norm.sqrt());
        let pairing = NormPairing::new(&norms, self.images);
        self.value = pairing.value;
        // ∂‖S‖/∂ẑ = 2 S Ẑ / ‖S‖, as S depends on each row twice. Each ‖S‖ is at least √B.
        let scales = pairing.slopes.iter().zip(&norms).map(|(slope, norm)| (self.beta * 2.0 * slope / norm) as f32);
        self.slopes = scales.zip(&self.own).map(|(scale, own)| own.iter().map(|x| x * scale).collect()).collect();
    }

    /// h_i ← α h_i + β · the set term's derivative, where the row is h_i and the similarities are s_i.
    #[inline(always)]
    pub fn add(&self, i: usize, similarities: &[f32], row: &mut [f32]) {
        for ((h, s), slope) in row.iter_mut().zip(similarities).zip(&self.slopes[i % self.views]) {
            *h = self.alpha * *h + unless_floored(slope * (1.0 + s), *s, FLOOR);
        }
        // s_ii is a constant.
        row[i] = 0.0;
    }
}

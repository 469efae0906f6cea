//! A set term of norms of floored similarities, computed along with a pairwise term.
//!
//! The similarities within a view set are among those of all rows, which the passes of a pairwise term go over. The set term then takes no
//! product of matrices of its own, and little time.

use super::UnitRows;
use super::pairwise::{dot, sums, unless_floored};
use super::set_term::{FLOOR, NormPairing, raised};
use crate::Views;

/// The term of the view sets of a batch, and its weight in the objective.
///
/// A set's matrix is A = T, T_ij = 1 + max(s_ij, floor), or centred A = J T J. Both come from the deviations
/// d_ij = max(s_ij, floor) − c − o_i − o_j, which are T for c = −1 and o = 0, and whose J d J is J T J whatever c and o are:
/// ‖J d J‖² = ‖d‖² − 2/B Σ_i r_i² + R²/B², with r_i the sum of row i and R that of all.
pub(super) struct NormTerm {
    centred: bool,
    /// K.
    views: usize,
    /// B.
    images: usize,
    alpha: f32,
    beta: f64,
    /// For each view set a row: 1 for the images of the set, 0 for others.
    own: Vec<Vec<f32>>,
    /// c of each view set.
    origins: Vec<f32>,
    /// o of each row; once the first pass is over, of centred norms, o_i + r_i/B − R/(2B²), which makes d_ij of the rows of a set A_ij.
    offsets: Vec<f32>,
    /// The value of the term, once the first pass is over.
    pub value: f64,
    /// For each view set the row of [`own`](Self::own) times β · 2 ∂q/∂‖A‖ / ‖A‖.
    slopes: Vec<Vec<f32>>,
}

/// ‖J d J‖² is taken from sums of d if it is this part of ‖d‖² at least: its error is then a hundred times that of the sums at most.
const LEAST_LEFT: f64 = 0.01;

impl NormTerm {
    /// For α · pairwise + β · set term.
    pub fn new(rows: &UnitRows, centred: bool, views: Views, [alpha, beta]: [f64; 2]) -> Self {
        let (count, views) = (rows.count(), views.count());
        let own = |set| (0..count).map(|j| if j % views == set { 1.0 } else { 0.0 }).collect();
        let mut term = Self {
            centred,
            views,
            images: count / views,
            alpha: alpha as f32,
            beta,
            own: (0..views).map(own).collect(),
            origins: vec![-1.0; views],
            offsets: vec![0.0; count],
            value: f64::NAN,
            slopes: Vec::new(),
        };
        if centred {
            term.centre(rows);
        }
        term
    }

    /// Takes c and o from the means of similarities without a floor: little but the floor is then left to take off.
    fn centre(&mut self, rows: &UnitRows) {
        let dim = rows.dim;
        for set in 0..self.views {
            let of_set = || rows.unit.chunks_exact(dim).skip(set).step_by(self.views);
            let mut sums = vec![0.0f64; dim];
            of_set().for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
            let mean: Vec<f32> = sums.iter().map(|sum| (sum / self.images as f64) as f32).collect();
            // s_ij averages to ẑ_i·mean over j, and to ‖mean‖² over all.
            let origin = dot(&mean, &mean);
            self.origins[set] = origin;
            let offsets = self.offsets.iter_mut().skip(set).step_by(self.views);
            offsets.zip(of_set()).for_each(|(offset, row)| *offset = dot(row, &mean) - origin);
        }
    }

    /// Σ_j d_ij and Σ_j d_ij² over row i's own set, of the similarities s_i.
    #[inline(always)]
    pub fn sums(&self, i: usize, similarities: &[f32]) -> [f64; 2] {
        let (set, of_row) = (i % self.views, self.offsets[i]);
        let origin = self.origins[set];
        sums([similarities, &self.own[set], &self.offsets], |[s, own, of_column]| {
            // In this order: of similarities that are nearly alike, the first difference is exact.
            let d = (raised(s) - origin) - (of_row + of_column);
            [own * d, own * d * d]
        })
    }

    /// Takes the sums of all rows. None if sums of d do not tell ‖A‖ well enough: near 0, or where the floor has moved means by far more
    /// than similarities differ.
    pub fn finish(mut self, of_rows: impl Iterator<Item = [f64; 2]>) -> Option<Self> {
        let images = self.images as f64;
        let mut squares = vec![0.0; self.views];
        let (mut totals, mut means) = (vec![0.0; self.views], Vec::with_capacity(self.offsets.len()));
        for (i, [sum, square]) in of_rows.enumerate() {
            squares[i % self.views] += square;
            totals[i % self.views] += sum;
            means.push(sum / images);
        }
        if self.centred {
            let mut left = squares.clone();
            for (i, mean) in means.iter().enumerate() {
                // Σ_i r_i²/B twice, and once the same of the mean of all means.
                let of_all = totals[i % self.views] / (images * images);
                left[i % self.views] -= images * (2.0 * mean * mean - of_all * of_all);
                self.offsets[i] = (f64::from(self.offsets[i]) + mean - 0.5 * of_all) as f32;
            }
            if !left.iter().zip(&squares).all(|(left, square)| *left > LEAST_LEFT * square) {
                return None;
            }
            squares = left;
        }
        let norms: Vec<f64> = squares.iter().map(|square| square.sqrt()).collect();
        let pairing = NormPairing::new(&norms, self.images);
        self.value = pairing.value;
        // ∂‖A‖/∂ẑ = 2 A Ẑ / ‖A‖, as A depends on each row twice. Without a centre each ‖A‖ is at least √B.
        let scales = pairing.slopes.iter().zip(&norms).map(|(slope, norm)| (self.beta * 2.0 * slope / norm) as f32);
        self.slopes = scales.zip(&self.own).map(|(scale, own)| own.iter().map(|x| x * scale).collect()).collect();
        Some(self)
    }

    /// h_i ← α h_i + β · the set term's derivative, where the row is h_i and the similarities are s_i.
    #[inline(always)]
    pub fn add(&self, i: usize, similarities: &[f32], row: &mut [f32]) {
        let (set, of_row) = (i % self.views, self.offsets[i]);
        let origin = self.origins[set];
        let columns = similarities.iter().zip(&self.slopes[set]).zip(&self.offsets);
        for (h, ((s, slope), of_column)) in row.iter_mut().zip(columns) {
            *h = self.alpha * *h + unless_floored(slope * ((s - origin) - (of_row + of_column)), *s, FLOOR);
        }
        // s_ii is a constant.
        row[i] = 0.0;
    }
}

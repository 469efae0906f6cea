//! Eigenvalues and eigenvectors of a symmetric tridiagonal matrix, by divide and conquer.
//!
//! The matrix is divided into two halves and a coupling of rank one, both halves are solved, and the eigendecompositions of the
//! halves are merged ([`Secular`]). The last merge stops at the eigenvalues: eigenvectors are made when it is known which are wanted.
//!
//! Source: Cuppen, "A divide and conquer method for the symmetric tridiagonal eigenproblem" (1981), with the deflation
//! and the grouping of columns of Rutter, "A serial implementation of Cuppen's divide and conquer algorithm" (1994).

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, EvdError, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd};
use faer::linalg::matmul::matmul;
use faer::reborrow::{Reborrow, ReborrowMut};
use faer::{Accum, ColMut, ColRef, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::EigenParams;
use crate::secular::Secular;
use crate::simd::vectorized;

/// A symmetric tridiagonal matrix, solved but for the last product.
pub(crate) struct DivideAndConquer {
    /// Eigenvalues in ascending order.
    pub values: Vec<f32>,
    /// Bases of both halves, or of the whole where there was nothing to divide.
    basis: Mat<f32>,
    merge: Option<Merge>,
    params: EigenParams,
}

/// Where an eigenvector is from.
#[derive(Clone, Copy)]
enum Source {
    /// This column of the basis.
    Column(usize),
    /// The basis times this eigenvector of the rank-one problem.
    Root(usize),
}

impl Source {
    fn column(&self) -> Option<usize> {
        match self {
            Source::Column(column) => Some(*column),
            Source::Root(_) => None,
        }
    }
}

/// How the eigendecompositions of two halves become that of the whole.
struct Merge {
    half: usize,
    /// Of the eigenvectors in the order of their eigenvalues.
    sources: Vec<Source>,
    secular: Secular,
    /// Columns of the basis that take part: those that are zero in the lower half, dense ones, zero in the upper half.
    groups: [Vec<usize>; 3],
    /// Where the pole's entries stand among the columns so grouped.
    place: Vec<usize>,
}

impl DivideAndConquer {
    /// Solves the matrix with this diagonal `[n]` and this one below it `[n − 1]`.
    pub fn new(mut diagonal: Vec<f32>, below: &[f32], params: &EigenParams) -> Result<Self, EvdError> {
        let size = diagonal.len();
        let mut basis = Mat::zeros(size, size);
        let merge = divide(&mut diagonal, below, basis.as_mut(), params)?;
        Ok(Self { values: diagonal, basis, merge, params: params.clone() })
    }

    /// Unit eigenvectors of the eigenvalues with `wanted`, one after the other, and for each which eigenvalue it is of.
    pub fn vectors(&self, wanted: &[bool]) -> (Vec<f32>, Vec<usize>) {
        let mut columns: Vec<(usize, usize)> = Vec::new();
        let (mut roots, mut ranks) = (Vec::new(), Vec::new());
        for rank in (0..self.values.len()).filter(|rank| wanted[*rank]) {
            match self.merge.as_ref().map_or(Source::Column(rank), |merge| merge.sources[rank]) {
                Source::Column(column) => columns.push((rank, column)),
                Source::Root(root) => {
                    roots.push(root);
                    ranks.push(rank);
                }
            }
        }
        let per_task = self.params.vectors_per_task;
        let make = |merge: &Merge| merge.make(self.basis.as_ref(), &roots, per_task);
        let mut vectors = self.merge.as_ref().map_or(Vec::new(), make);
        for (rank, column) in columns {
            vectors.extend(slice(self.basis.col(column)));
            ranks.push(rank);
        }
        (vectors, ranks)
    }
}

/// Solves a matrix into `values`, in place of its diagonal, and `basis`, of which all entries are zero, up to the last merge.
fn divide(
    values: &mut [f32],
    below: &[f32],
    mut basis: MatMut<'_, f32>,
    params: &EigenParams,
) -> Result<Option<Merge>, EvdError> {
    let size = values.len();
    if size <= params.leaf_order.max(1) {
        qr_iteration(values, below, basis)?;
        return Ok(None);
    }
    let half = size / 2;
    let coupling = below[half - 1];
    values[half - 1] -= coupling.abs();
    values[half] -= coupling.abs();
    let (upper, lower) = values.split_at_mut(half);
    let (basis_upper, _, _, basis_lower) = basis.rb_mut().split_at_mut(half, half);
    let solve = |values: &mut [f32], below: &[f32], mut basis: MatMut<'_, f32>| {
        if let Some(merge) = divide(values, below, basis.rb_mut(), params)? {
            merge.carry_out(basis, params.vectors_per_task);
        }
        Ok(())
    };
    let (first, second) =
        rayon::join(|| solve(upper, &below[..half - 1], basis_upper), || solve(lower, &below[half..], basis_lower));
    first?;
    second?;
    Ok(Some(Merge::new(values, coupling, half, basis, params)))
}

/// 0 for what is nothing next to a norm of at least ½: the QR iteration divides by the largest entry.
fn flushed(x: f32) -> f32 {
    if x.abs() < 1e-30 { 0.0 } else { x }
}

/// Solves a small matrix by QR iteration.
fn qr_iteration(values: &mut [f32], below: &[f32], basis: MatMut<'_, f32>) -> Result<(), EvdError> {
    let size = values.len();
    let mut diagonal = Diag::zeros(size);
    let mut subdiagonal = Diag::zeros(size);
    let mut solved = Diag::zeros(size);
    for i in 0..size {
        diagonal[i] = flushed(values[i]);
        if i + 1 < size {
            subdiagonal[i] = flushed(below[i]);
        }
    }
    let scratch = self_adjoint_evd_scratch::<f32>(size, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    tridiagonal_self_adjoint_evd(
        diagonal.as_ref(),
        subdiagonal.as_ref(),
        solved.as_mut(),
        Some(basis),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )?;
    for (value, solved) in values.iter_mut().zip(solved.column_vector().iter()) {
        *value = *solved;
    }
    Ok(())
}

impl Merge {
    /// Finds the eigenvalues of the whole from those of its halves, and puts them into `values` in ascending order.
    fn new(values: &mut [f32], coupling: f32, half: usize, mut basis: MatMut<'_, f32>, params: &EigenParams) -> Self {
        let size = values.len();
        // The rank-one part: ρ z zᵀ with |z| = 1.
        let z = |column: usize| {
            if column < half { basis[(half - 1, column)] } else { basis[(half, column)] * coupling.signum() }
        };
        let mut z: Vec<f32> = (0..size).map(|column| z(column) * std::f32::consts::FRAC_1_SQRT_2).collect();
        let rho = 2.0 * coupling.abs();
        let magnitude = |x: &[f32]| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let tolerance = params.deflation * f32::EPSILON * magnitude(values).max(magnitude(&z));

        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut dense = vec![false; size];
        let mut kept: Vec<usize> = Vec::with_capacity(size);
        let mut deflated: Vec<usize> = Vec::new();
        for column in order {
            if rho * z[column].abs() <= tolerance {
                deflated.push(column);
                continue;
            }
            if let Some(&before) = kept.last() {
                // A rotation of two columns takes the entry of z away from one; what it adds to the matrix is
                // (d − d')·c·s, which is nothing where the eigenvalues are close.
                let length = z[column].hypot(z[before]);
                let (c, s) = (z[column] / length, -z[before] / length);
                let (d, d_before) = (values[column], values[before]);
                if ((d - d_before) * c * s).abs() <= tolerance {
                    (z[column], z[before]) = (length, 0.0);
                    rotate(basis.rb_mut(), before, column, c, s);
                    values[before] = d_before * c * c + d * s * s;
                    values[column] = d_before * s * s + d * c * c;
                    dense[column] |= dense[before] || (before < half) != (column < half);
                    kept.pop();
                    deflated.push(before);
                }
            }
            kept.push(column);
        }

        let mut groups: [Vec<usize>; 3] = Default::default();
        let group = |column: usize| match (dense[column], column < half) {
            (true, _) => 1,
            (false, true) => 0,
            (false, false) => 2,
        };
        let within: Vec<usize> = kept
            .iter()
            .map(|&column| {
                groups[group(column)].push(column);
                groups[group(column)].len() - 1
            })
            .collect();
        let starts = [0, groups[0].len(), groups[0].len() + groups[1].len()];
        let place = kept.iter().zip(within).map(|(&column, within)| starts[group(column)] + within).collect();

        let poles = kept.iter().map(|&column| values[column]).collect();
        let weights = kept.iter().map(|&column| z[column]).collect();
        let secular = Secular::new(poles, weights, rho, params);
        let roots = (0..kept.len()).map(|j| (secular.value(j), Source::Root(j)));
        let columns = deflated.iter().map(|&column| (values[column], Source::Column(column)));
        let mut all: Vec<(f32, Source)> = roots.chain(columns).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (value, (found, _)) in values.iter_mut().zip(&all) {
            *value = *found;
        }
        Self { half, sources: all.into_iter().map(|(_, source)| source).collect(), secular, groups, place }
    }

    /// The eigenvectors of these `roots` of the rank-one problem, one after the other.
    fn make(&self, basis: MatRef<'_, f32>, roots: &[usize], per_task: usize) -> Vec<f32> {
        let per_task = per_task.max(1);
        let [upper, dense, lower] = &self.groups;
        let (half, size, count) = (self.half, basis.nrows(), self.place.len());
        let gather = |groups: [&[usize]; 2], first: usize, height: usize| {
            let mut gathered = Mat::zeros(height, groups[0].len() + groups[1].len());
            for (to, from) in gathered.as_mut().col_iter_mut().zip(groups.concat()) {
                slice_mut(to).copy_from_slice(&slice(basis.col(from))[first..first + height]);
            }
            gathered
        };
        let (over, under) = (gather([upper, dense], 0, half), gather([dense, lower], half, size - half));
        let mut vectors = vec![0.0; size * roots.len()];
        vectors.par_chunks_mut(size * per_task).zip(roots.par_chunks(per_task)).for_each(|(vectors, roots)| {
            let mut small = vec![0.0; count * roots.len()];
            vectorized(
                #[inline(always)]
                || {
                    let mut scratch = vec![0.0; count];
                    for (vector, root) in small.chunks_exact_mut(count).zip(roots) {
                        self.secular.vector(*root, &mut scratch, &self.place, vector);
                    }
                },
            );
            let small = MatRef::from_column_major_slice(&small, count, roots.len());
            let vectors = MatMut::from_column_major_slice_mut(vectors, size, roots.len());
            let (above, below) = vectors.split_at_row_mut(half);
            let (first, last) = (small.subrows(0, over.ncols()), small.subrows(count - under.ncols(), under.ncols()));
            matmul(above, Accum::Replace, over.as_ref(), first, 1.0, Par::Seq);
            matmul(below, Accum::Replace, under.as_ref(), last, 1.0, Par::Seq);
        });
        vectors
    }

    /// Replaces the bases of both halves by that of the whole, in the order of the eigenvalues.
    fn carry_out(&self, mut basis: MatMut<'_, f32>, per_task: usize) {
        let size = basis.nrows();
        let roots: Vec<usize> = (0..self.place.len()).collect();
        let made = self.make(basis.rb(), &roots, per_task);
        let columns: Vec<f32> = self
            .sources
            .iter()
            .filter_map(Source::column)
            .flat_map(|column| slice(basis.rb().col(column)))
            .copied()
            .collect();
        let mut columns = columns.chunks_exact(size);
        for (rank, source) in self.sources.iter().enumerate() {
            let from = match source {
                Source::Root(root) => &made[root * size..][..size],
                Source::Column(_) => columns.next().expect("one for each"),
            };
            slice_mut(basis.rb_mut().col_mut(rank)).copy_from_slice(from);
        }
    }
}

/// The entries of a column, which all matrices here hold one after the other.
fn slice(column: ColRef<'_, f32>) -> &[f32] {
    column.try_as_col_major().expect("columns are contiguous").as_slice()
}

/// The same, to write to.
fn slice_mut(column: ColMut<'_, f32>) -> &mut [f32] {
    column.try_as_col_major_mut().expect("columns are contiguous").as_slice_mut()
}

/// (x, y) ← (c x + s y, c y − s x), of two columns.
fn rotate(basis: MatMut<'_, f32>, x: usize, y: usize, c: f32, s: f32) {
    let (x, y) = basis.two_cols_mut(x, y);
    for (x, y) in slice_mut(x).iter_mut().zip(slice_mut(y)) {
        (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tridiagonal::Tridiagonal;
    use crate::tridiagonal::tests::{adversarial, dense, random, wilkinson};

    fn solve(matrix: &Tridiagonal, leaf_order: usize) -> DivideAndConquer {
        let params = EigenParams { leaf_order, vectors_per_task: 7, roots_per_task: 5, ..Default::default() };
        let below = &matrix.below[..matrix.order() - 1];
        DivideAndConquer::new(matrix.diagonal.clone(), below, &params).unwrap()
    }

    fn assert_solved(matrix: &Tridiagonal, leaf_order: usize, case: &str) {
        let (n, expected) = (matrix.order(), dense(matrix));
        let norm = expected.norm_l2().max(f64::MIN_POSITIVE);
        let solved = solve(matrix, leaf_order);
        assert!(solved.values.is_sorted(), "{case}");
        let (vectors, ranks) = solved.vectors(&vec![true; n]);
        let u = Mat::from_fn(n, n, |i, j| f64::from(vectors[j * n + i]));
        let scaled = Mat::from_fn(n, n, |i, j| u[(i, j)] * f64::from(solved.values[ranks[j]]));
        // Every level adds the rounding of a product with a basis, a few ε of the Frobenius norm, and QR iteration that of two sweeps
        // for each eigenvalue, which add up like independent errors.
        let levels = (n as f64 / leaf_order as f64).max(1.0).log2().ceil() + 1.0;
        let bound = (16.0 * levels + 4.0 * (n.min(leaf_order) as f64).sqrt()) * f64::from(f32::EPSILON);
        let error = (&scaled * u.transpose() - &expected).norm_l2() / norm;
        assert!(error <= bound, "{case}: U Λ Uᵀ is off by {error:.1e}, more than {bound:.1e}");
        let error = (u.transpose() * &u - Mat::<f64>::identity(n, n)).norm_l2() / (n as f64).sqrt();
        assert!(error <= bound, "{case}: Uᵀ U is off by {error:.1e}, more than {bound:.1e}");
    }

    #[test]
    fn bases_rebuild_the_matrix_on_every_number_of_levels() {
        for n in [1, 2, 3, 5, 8, 13, 40, 63, 64, 65, 130, 257] {
            for leaf_order in [1, 2, 16, 64] {
                assert_solved(&random(n, n as u64), leaf_order, &format!("random, order {n}, leaves of {leaf_order}"));
            }
        }
    }

    #[test]
    fn adversarial_matrices_are_solved() {
        for (case, matrix) in adversarial().into_iter().chain([("glued".into(), wilkinson(10, 12, 1e-6))]) {
            // The tolerances are for matrices of norm about 1, as they come from the reduction.
            if case.starts_with("large") || case.starts_with("small") {
                continue;
            }
            for leaf_order in [1, 8, 64] {
                assert_solved(&matrix, leaf_order, &format!("{case}, leaves of {leaf_order}"));
            }
        }
    }

    #[test]
    fn vectors_that_are_not_wanted_are_not_made() {
        let matrix = random(150, 3);
        let solved = solve(&matrix, 16);
        let (all, ranks) = solved.vectors(&[true; 150]);
        let wanted: Vec<bool> = (0..150).map(|rank| rank % 3 == 1).collect();
        let (some, some_ranks) = solved.vectors(&wanted);
        assert_eq!(some_ranks.len(), 50);
        for (vector, rank) in some.chunks_exact(150).zip(&some_ranks) {
            let at = ranks.iter().position(|other| other == rank).unwrap();
            let along: f32 = vector.iter().zip(&all[at * 150..]).map(|(a, b)| a * b).sum();
            assert!((along - 1.0).abs() < 1e-5, "eigenvector {rank}: {along}");
        }
    }
}

//! Eigenvalues and eigenvectors of a symmetric tridiagonal matrix, by divide and conquer.
//!
//! The matrix is torn in two, both halves are solved, and the tear, of rank one, is mended ([`Secular`]). The last mend is left
//! undone: its eigenvalues are there, and eigenvectors are made when it is known which are wanted.
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

use super::secular::Secular;
use super::vectorized::vectorized;

/// Up to this size a matrix is solved by QR iterations.
const LEAF: usize = 32;
/// Eigenvectors that one task makes.
const CHUNK: usize = 128;

/// A symmetric tridiagonal matrix, solved but for the last product.
pub(super) struct Tridiagonal {
    /// Eigenvalues in ascending order.
    pub values: Vec<f32>,
    /// Bases of both halves, or of the whole where there was nothing to divide.
    basis: Mat<f32>,
    mend: Option<Mend>,
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

/// Two halves, and how to make one of them.
struct Mend {
    half: usize,
    /// Of the eigenvectors in the order of their eigenvalues.
    sources: Vec<Source>,
    secular: Secular,
    /// Columns of the basis that take part: those that are zero in the lower half, dense ones, zero in the upper half.
    groups: [Vec<usize>; 3],
    /// Where the pole's entries stand among the columns so grouped.
    place: Vec<usize>,
}

impl Tridiagonal {
    /// Solves the matrix with this diagonal `[n]` and this one below it `[n − 1]`.
    pub fn new(mut diagonal: Vec<f32>, below: &[f32]) -> Result<Self, EvdError> {
        let size = diagonal.len();
        let mut basis = Mat::zeros(size, size);
        let mend = divide(&mut diagonal, below, basis.as_mut())?;
        Ok(Self { values: diagonal, basis, mend })
    }

    /// Unit eigenvectors of the eigenvalues with `wanted`, one after the other, and for each which eigenvalue it is of.
    pub fn vectors(&self, wanted: &[bool]) -> (Vec<f32>, Vec<usize>) {
        let mut columns: Vec<(usize, usize)> = Vec::new();
        let (mut roots, mut ranks) = (Vec::new(), Vec::new());
        for rank in (0..self.values.len()).filter(|rank| wanted[*rank]) {
            match self.mend.as_ref().map_or(Source::Column(rank), |mend| mend.sources[rank]) {
                Source::Column(column) => columns.push((rank, column)),
                Source::Root(root) => {
                    roots.push(root);
                    ranks.push(rank);
                }
            }
        }
        let mut vectors = self.mend.as_ref().map_or(Vec::new(), |mend| mend.make(self.basis.as_ref(), &roots));
        for (rank, column) in columns {
            vectors.extend(slice(self.basis.col(column)));
            ranks.push(rank);
        }
        (vectors, ranks)
    }
}

/// Solves a matrix into `values`, in place of its diagonal, and `basis`, of which all entries are zero, up to the last mend.
fn divide(values: &mut [f32], below: &[f32], mut basis: MatMut<'_, f32>) -> Result<Option<Mend>, EvdError> {
    let size = values.len();
    if size <= LEAF {
        iterate(values, below, basis)?;
        return Ok(None);
    }
    let half = size / 2;
    let tear = below[half - 1];
    values[half - 1] -= tear.abs();
    values[half] -= tear.abs();
    let (upper, lower) = values.split_at_mut(half);
    let (basis_upper, _, _, basis_lower) = basis.rb_mut().split_at_mut(half, half);
    let solve = |values: &mut [f32], below: &[f32], mut basis: MatMut<'_, f32>| {
        if let Some(mend) = divide(values, below, basis.rb_mut())? {
            mend.carry_out(basis);
        }
        Ok(())
    };
    let (done, as_well) =
        rayon::join(|| solve(upper, &below[..half - 1], basis_upper), || solve(lower, &below[half..], basis_lower));
    done?;
    as_well?;
    Ok(Some(Mend::new(values, tear, half, basis)))
}

/// Solves a small matrix by QR iterations.
fn iterate(values: &mut [f32], below: &[f32], basis: MatMut<'_, f32>) -> Result<(), EvdError> {
    let size = values.len();
    let mut diagonal = Diag::zeros(size);
    let mut subdiagonal = Diag::zeros(size);
    let mut solved = Diag::zeros(size);
    for i in 0..size {
        diagonal[i] = values[i];
        if i + 1 < size {
            subdiagonal[i] = below[i];
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

impl Mend {
    /// Finds the eigenvalues of the whole from those of its halves, and puts them into `values` in ascending order.
    fn new(values: &mut [f32], tear: f32, half: usize, mut basis: MatMut<'_, f32>) -> Self {
        let size = values.len();
        // The rank-one part: ρ z zᵀ with |z| = 1.
        let z = |column: usize| match column < half {
            true => basis[(half - 1, column)],
            false => basis[(half, column)] * tear.signum(),
        };
        let mut z: Vec<f32> = (0..size).map(|column| z(column) * std::f32::consts::FRAC_1_SQRT_2).collect();
        let rho = 2.0 * tear.abs();
        let magnitude = |x: &[f32]| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let tolerance = 4.0 * f32::EPSILON * magnitude(values).max(magnitude(&z));

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
        let secular = Secular::new(poles, weights, rho);
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
    fn make(&self, basis: MatRef<'_, f32>, roots: &[usize]) -> Vec<f32> {
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
        vectors.par_chunks_mut(size * CHUNK).zip(roots.par_chunks(CHUNK)).for_each(|(vectors, roots)| {
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
    fn carry_out(&self, mut basis: MatMut<'_, f32>) {
        let size = basis.nrows();
        let roots: Vec<usize> = (0..self.place.len()).collect();
        let made = self.make(basis.rb(), &roots);
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

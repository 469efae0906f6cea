use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::RetrievalError;

/// Queries of a block: the similarities of these to all references lie in memory at a time.
pub(crate) const QUERIES: usize = 64;
/// References of a product.
const REFERENCES: usize = 1024;

/// Rows of unit length, with rows of zeros behind them up to a multiple of [`REFERENCES`].
///
/// So all products have the same shape and the same order of summation: equal rows have equal similarities, wherever they lie, and ties are ties.
#[derive(Clone, Debug)]
pub(crate) struct UnitRows {
    values: Vec<f32>,
    rows: usize,
    dim: usize,
}

impl UnitRows {
    /// Divides rows by their lengths, which are computed in f64. A row of zeros stays one.
    pub(crate) fn new(values: &[f32], rows: usize, dim: usize) -> Result<Self, RetrievalError> {
        if dim == 0 {
            return Err(RetrievalError::NoDimensions);
        }
        if rows > u32::MAX as usize {
            return Err(RetrievalError::TooMany { found: rows });
        }
        if values.len() != rows * dim {
            return Err(RetrievalError::Size { what: "numbers", found: values.len(), expected: rows * dim });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(RetrievalError::NonFinite { row: place / dim });
        }
        let mut unit = vec![0.0; padded(rows) * dim];
        unit.par_chunks_exact_mut(dim).zip(values.par_chunks_exact(dim)).for_each(|(unit, row)| {
            let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 {
                unit.iter_mut().zip(row).for_each(|(unit, value)| *unit = (f64::from(*value) / length) as f32);
            }
        });
        Ok(Self { values: unit, rows, dim })
    }

    /// The rows, without the zeros behind them.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values[..self.rows * self.dim]
    }

    /// Rows at places, in that order.
    pub(crate) fn select(&self, places: &[usize]) -> Self {
        let mut values = Vec::with_capacity(padded(places.len()) * self.dim);
        places.iter().for_each(|row| values.extend_from_slice(&self.values()[row * self.dim..(row + 1) * self.dim]));
        values.resize(padded(places.len()) * self.dim, 0.0);
        Self { values, rows: places.len(), dim: self.dim }
    }

    /// The number of numbers in a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The length of a row of similarities to these rows, zeros behind the last row included.
    pub(crate) fn padded(&self) -> usize {
        padded(self.rows)
    }

    /// Writes the similarities of [`QUERIES`] rows from `first` on, a multiple of [`QUERIES`], to all rows of `references`, one row for each query,
    /// `references.padded()` numbers apart.
    pub(crate) fn similarities(&self, first: usize, references: &Self, into: &mut [f32]) {
        let (dim, stride) = (self.dim, references.padded());
        let queries = &self.values[first * dim..(first + QUERIES) * dim];
        let queries = MatRef::from_row_major_slice(queries, QUERIES, dim);
        let mut into = MatMut::from_row_major_slice_mut(into, QUERIES, stride);
        for (number, block) in references.values.chunks_exact(REFERENCES * dim).enumerate() {
            let block = MatRef::from_row_major_slice(block, REFERENCES, dim).transpose();
            let into = into.as_mut().subcols_mut(number * REFERENCES, REFERENCES);
            matmul(into, Accum::Replace, queries, block, 1.0, Par::Seq);
        }
    }
}

/// The number of rows with those of zeros behind them: a positive multiple of [`REFERENCES`], also without any row.
fn padded(rows: usize) -> usize {
    rows.max(1).next_multiple_of(REFERENCES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that differ in nothing but their place.
    #[test]
    fn equal_rows_have_equal_similarities_wherever_they_lie() {
        for dim in [1, 2, 3, 7, 64, 130, 515] {
            let row: Vec<f32> = (0..dim).map(|i| ((i * i + 3) as f32).sin()).collect();
            let (rows, queries) = (REFERENCES + 300, QUERIES + 9);
            let references = UnitRows::new(&row.repeat(rows), rows, dim).unwrap();
            let query: Vec<f32> = (0..dim).map(|i| (i as f32).cos()).collect();
            let queries = UnitRows::new(&query.repeat(queries), queries, dim).unwrap();
            let mut into = vec![f32::NAN; QUERIES * references.padded()];
            let mut all = Vec::new();
            for first in [0, QUERIES] {
                queries.similarities(first, &references, &mut into);
                let kept = (queries.rows - first).min(QUERIES);
                all.extend(into.chunks(references.padded()).take(kept).flat_map(|row| row[..rows].to_vec()));
            }
            assert_eq!(all.len(), queries.rows * rows);
            assert!(all.iter().all(|value| value.to_bits() == all[0].to_bits()), "dimension {dim}");
        }
    }

    #[test]
    fn lengths_from_subnormal_to_the_largest_have_directions() {
        let values = [f32::MIN_POSITIVE / 64.0, 0.0, 0.0, f32::MAX, 3.0, -4.0, 0.0, 0.0];
        let rows = UnitRows::new(&values, 4, 2).unwrap();
        assert_eq!(rows.values[..8], [1.0, 0.0, 0.0, 1.0, 0.6, -0.8, 0.0, 0.0]);
    }
}

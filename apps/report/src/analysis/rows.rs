use crate::error::{ReportError, Result};

/// Rows of numbers `[N, D]`, all finite.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    /// Takes the numbers `[N, D]`, row by row.
    ///
    /// # Errors
    /// If the numbers do not make whole rows, or one is not finite.
    pub fn new(values: &'a [f32], dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            let expected = if dim == 0 { 1 } else { values.len().next_multiple_of(dim) };
            return Err(ReportError::Size { what: "numbers", found: values.len(), expected });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(place) => Err(ReportError::NonFinite { row: place / dim }),
            None => Ok(Self { values, dim }),
        }
    }

    /// Returns the number of rows, N.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the numbers in a row, D.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.dim)
    }

    /// Returns the rows divided by their lengths, which are computed in f64. A row of zeros stays one.
    pub fn unit(&self) -> Vec<f32> {
        let unit = |row: &[f32]| {
            let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            row.iter().map(|value| (f64::from(*value) * scale) as f32).collect::<Vec<f32>>()
        };
        self.iter().flat_map(unit).collect()
    }

    /// Returns the mean of each column in f64.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        for row in self.iter() {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
        }
        mean.iter_mut().for_each(|mean| *mean /= self.len().max(1) as f64);
        mean
    }
}

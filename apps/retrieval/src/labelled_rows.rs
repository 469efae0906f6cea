use crate::error::RetrievalError;
use crate::unit_rows::UnitRows;

/// Embeddings `[N, D]` with the label of each row, its camera if it is known, and whether it is junk.
#[derive(Clone, Debug)]
pub struct LabelledRows {
    pub(crate) unit: UnitRows,
    pub(crate) labels: Vec<u32>,
    pub(crate) cameras: Option<Vec<u32>>,
    /// Empty if no row is junk.
    junk: Vec<bool>,
}

impl LabelledRows {
    /// Takes embeddings `[N, D]`, row by row, and the labels `[N]`. They may have any length but infinity; a row of zeros has the similarity 0
    /// with all others.
    ///
    /// # Errors
    /// If the sizes do not fit, or an embedding is not finite.
    pub fn new(embeddings: &[f32], dim: usize, labels: &[u32]) -> Result<Self, RetrievalError> {
        let unit = UnitRows::new(embeddings, labels.len(), dim)?;
        Ok(Self { unit, labels: labels.to_vec(), cameras: None, junk: Vec::new() })
    }

    /// Adds the camera of each row, `[N]`.
    ///
    /// # Errors
    /// If there are not as many cameras as rows.
    pub fn with_cameras(self, cameras: &[u32]) -> Result<Self, RetrievalError> {
        self.fits("cameras", cameras.len())?;
        Ok(Self { cameras: Some(cameras.to_vec()), ..self })
    }

    /// Marks rows as junk, `[N]`, such as the badly detected persons of Market-1501. They are neither queries nor references.
    ///
    /// # Errors
    /// If there are not as many marks as rows.
    pub fn with_junk(self, junk: &[bool]) -> Result<Self, RetrievalError> {
        self.fits("marks of junk", junk.len())?;
        Ok(Self { junk: junk.to_vec(), ..self })
    }

    /// Returns the embeddings `[N, D]`, divided by their lengths.
    pub fn unit_rows(&self) -> &[f32] {
        self.unit.values()
    }

    /// Returns the number of rows, N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn is_junk(&self, row: usize) -> bool {
        self.junk.get(row).copied().unwrap_or(false)
    }

    fn fits(&self, what: &'static str, found: usize) -> Result<(), RetrievalError> {
        let expected = self.len();
        if found == expected { Ok(()) } else { Err(RetrievalError::Size { what, found, expected }) }
    }
}

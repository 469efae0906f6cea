use burn::tensor::{Bool, Int, Tensor, TensorData, backend::Backend};

use crate::ObjectiveError;

/// K views of each image in a batch, and where their rows are.
///
/// A batch of B images has K·B rows; row `i·K + k` is view k of image i, so the views of one image stand
/// together (interleaved, for K = 2). Everything that depends on that order asks this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Views {
    count: usize,
}

impl Views {
    /// Two views an image, the usual case.
    pub const PAIR: Views = Views { count: 2 };

    /// K views an image.
    ///
    /// # Errors
    /// When `count` is less than 2.
    pub fn new(count: usize) -> Result<Self, ObjectiveError> {
        match count {
            0 | 1 => Err(ObjectiveError::TooFewViews { views: count }),
            _ => Ok(Self { count }),
        }
    }

    /// K.
    pub fn count(self) -> usize {
        self.count
    }

    /// The number of images B behind `rows` rows.
    ///
    /// # Errors
    /// When `rows` is no multiple of K, or B < 2.
    pub fn images(self, rows: usize) -> Result<usize, ObjectiveError> {
        if !rows.is_multiple_of(self.count) {
            return Err(ObjectiveError::RaggedViews { rows, views: self.count });
        }
        match rows / self.count {
            images @ (0 | 1) => Err(ObjectiveError::TooFewImages { images }),
            images => Ok(images),
        }
    }

    /// Lays images of K views each out as rows: `[B, K, C, H, W]` → `[K·B, C, H, W]`.
    ///
    /// # Panics
    /// When the images have another number of views.
    pub fn rows<B: Backend>(self, images: Tensor<B, 5>) -> Tensor<B, 4> {
        let [batch, views, channels, height, width] = images.dims();
        assert_eq!(views, self.count, "views of an image");
        images.reshape([batch * views, channels, height, width])
    }

    /// Lays two views `[B, D]` of the same images out as rows `[2·B, D]`.
    ///
    /// # Errors
    /// When the two have other shapes.
    pub fn interleave<B: Backend>(first: Tensor<B, 2>, second: Tensor<B, 2>) -> Result<Tensor<B, 2>, ObjectiveError> {
        let [images, dim] = first.dims();
        if second.dims() != [images, dim] {
            return Err(ObjectiveError::UnlikeViews { first: first.dims(), second: second.dims() });
        }
        Ok(Tensor::stack::<3>(vec![first, second], 1).reshape([2 * images, dim]))
    }

    /// Lays embeddings of K views of each image out as rows, `[B, K, D]` → `[K·B, D]`, and says how they lie there.
    ///
    /// # Errors
    /// When K is less than 2.
    pub fn flatten<B: Backend>(embeddings: Tensor<B, 3>) -> Result<(Tensor<B, 2>, Self), ObjectiveError> {
        let [images, count, dim] = embeddings.dims();
        Ok((embeddings.reshape([images * count, dim]), Self::new(count)?))
    }

    /// Parts rows into their view sets: `[K·B, D]` → `[K, B, D]`.
    ///
    /// # Errors
    /// As [`Views::images`].
    pub fn sets<B: Backend>(self, rows: Tensor<B, 2>) -> Result<Tensor<B, 3>, ObjectiveError> {
        let [count, dim] = rows.dims();
        let images = self.images(count)?;
        Ok(rows.reshape([images, self.count, dim]).swap_dims(0, 1))
    }

    /// The rows of the other views of row i's image.
    pub(crate) fn others(self, row: usize) -> impl Iterator<Item = usize> {
        let first = row / self.count * self.count;
        (first..first + self.count).filter(move |other| *other != row)
    }

    /// The rows of the other views of each row's image: `[K·B, K − 1]`.
    pub(crate) fn positive_columns<B: Backend>(self, rows: usize, device: &B::Device) -> Tensor<B, 2, Int> {
        let columns: Vec<i64> = (0..rows).flat_map(|row| self.others(row)).map(|row| row as i64).collect();
        Tensor::from_data(TensorData::new(columns, [rows, self.count - 1]), device)
    }
}

/// Whether i = j: `[N, N]`.
pub(crate) fn diagonal<B: Backend>(rows: usize, device: &B::Device) -> Tensor<B, 2, Bool> {
    let row = Tensor::<B, 1, Int>::arange(0..rows as i64, device);
    let column = row.clone().reshape([rows, 1]).expand([rows, rows]);
    column.equal(row.reshape([1, rows]).expand([rows, rows]))
}

//! A sample: what a step leaves for figures.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use super::representation::{alignment, dead_dimensions, rank_me, uniformity, unit_rows};
use super::{LiveFigure, LiveValues};
use crate::evaluation::features;
use crate::methods::Embeddings;

/// Most rows that figures are computed of, so that they cost a few milliseconds.
const MAX_ROWS: usize = 512;

/// Tensors of a step that figures are computed from, not yet read from the device.
pub struct Sample<B: Backend> {
    embeddings: Option<Embeddings<B>>,
    gradient_norm: Option<Tensor<B, 1>>,
}

impl<B: Backend> Sample<B> {
    /// A sample of at most 512 of the embeddings.
    pub fn new(embeddings: Option<Embeddings<B>>, gradient_norm: Option<Tensor<B, 1>>) -> Self {
        Self { embeddings: embeddings.map(|embeddings| few(embeddings, MAX_ROWS)), gradient_norm }
    }

    /// Reads the tensors, which waits for the device, and computes those of the figures that a sample has. Returns also the number of
    /// dimensions of the embeddings.
    pub fn read(self, figures: &[LiveFigure]) -> (LiveValues, usize) {
        let mut live = LiveValues::default();
        let dim = self.embeddings.as_ref().map_or(0, |embeddings| embeddings.rows.dims()[1]);
        let group = self.embeddings.as_ref().map_or(1, |embeddings| embeddings.positives);
        let of_rows = |figure: &LiveFigure| figure.is_of_steps() && *figure != LiveFigure::GradientNorm;
        let rows = self.embeddings.map(|embeddings| embeddings.rows.flatten(0, 1));
        let rows = rows.filter(|_| dim > 0 && figures.iter().any(of_rows));
        let has_norm = self.gradient_norm.is_some();
        // One read waits once.
        let parts: Vec<Tensor<B, 1>> =
            rows.into_iter().chain(self.gradient_norm).map(|part| part.cast(DType::F32)).collect();
        let mut rows = if parts.is_empty() { Vec::new() } else { features::values(Tensor::cat(parts, 0)) };
        let norm = has_norm.then(|| rows.pop().map(f64::from)).flatten();
        let unit = if rows.is_empty() { Vec::new() } else { unit_rows(&rows, dim) };
        for figure in figures {
            let value = match figure {
                LiveFigure::GradientNorm => norm,
                LiveFigure::Probe => None,
                _ if rows.is_empty() => None,
                LiveFigure::RankMe => rank_me(&rows, dim),
                LiveFigure::Alignment => alignment(&unit, dim, group),
                LiveFigure::Uniformity => uniformity(&unit, dim),
                LiveFigure::DeadDimensions => dead_dimensions(&rows, dim),
            };
            live.insert(*figure, value.unwrap_or(f64::NAN));
        }
        (live, dim)
    }
}

/// Selects at most `most` rows: some of each group of positives if there are many, but two at least, of the first groups.
fn few<B: Backend>(embeddings: Embeddings<B>, most: usize) -> Embeddings<B> {
    let Embeddings { rows, positives } = embeddings;
    let [count, dim] = rows.dims();
    if count <= most {
        return Embeddings { rows, positives };
    }
    let groups = count / positives;
    let of_group = (most / groups).max(2).min(positives);
    let groups = groups.min(most / of_group);
    let rows: Tensor<B, 3> = rows.narrow(0, 0, groups * positives).reshape([groups, positives, dim]);
    Embeddings { rows: rows.narrow(1, 0, of_group).reshape([groups * of_group, dim]), positives: of_group }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    #[test]
    fn groups_of_positives_stay_together() {
        let rows = |count: usize| {
            let numbers: Vec<f32> = (0..count).map(|row| row as f32).collect();
            Tensor::<Plain, 1>::from_floats(&numbers[..], &any_device()).reshape([count, 1])
        };
        let select = |count, positives, most| {
            let Embeddings { rows, positives } = few(Embeddings { rows: rows(count), positives }, most);
            (features::values(rows), positives)
        };
        assert_eq!(select(6, 2, 6), (vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2));
        assert_eq!(select(6, 2, 5), (vec![0.0, 1.0, 2.0, 3.0], 2));
        assert_eq!(select(12, 4, 6), (vec![0.0, 1.0, 4.0, 5.0, 8.0, 9.0], 2));
        assert_eq!(select(12, 6, 6), (vec![0.0, 1.0, 2.0, 6.0, 7.0, 8.0], 3));
        assert_eq!(select(7, 1, 3), (vec![0.0, 1.0, 2.0], 1));
    }

    #[test]
    fn a_sample_has_the_figures_that_its_tensors_allow() {
        let rows = Tensor::<Plain, 2>::from_floats([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 3.0]], &any_device());
        let embeddings = Some(Embeddings { rows, positives: 2 });
        let (found, dim) = Sample::new(embeddings.clone(), None).read(&LiveFigure::ALL);
        assert_eq!(dim, 2);
        // Distances of 2 and of nearly 0.
        assert!((found.get(LiveFigure::Alignment).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!((found.get(LiveFigure::GradientNorm), found.get(LiveFigure::Probe)), (None, None));
        assert_eq!(found.iter().count(), 4);
        let norm = Some(Tensor::<Plain, 1>::from_floats([3.0], &any_device()));
        let (found, _) = Sample::new(None, norm).read(&LiveFigure::ALL);
        assert_eq!(found.iter().collect::<Vec<_>>(), [(LiveFigure::GradientNorm, 3.0)]);
        let (found, _) = Sample::new(embeddings, None).read(&[LiveFigure::RankMe]);
        assert_eq!(found.iter().count(), 1);
    }
}

//! The objectives on embeddings in other layouts than interleaved rows.

use burn::tensor::{Tensor, backend::Backend};

use crate::{ContrastiveObjective, NtXent, ObjectiveError, ObjectiveOutput, PairwiseTerm, Qare, SparseClr, Views};

macro_rules! layouts {
    ($($objective:ident => $output:ty;)*) => {$(
        impl $objective {
            /// As `forward`, of two views `[B, D]` each of the same images: row i of both is of image i.
            ///
            /// # Errors
            /// When the two have other shapes, and as `forward`.
            pub fn forward_pair<B: Backend>(
                &self,
                first: Tensor<B, 2>,
                second: Tensor<B, 2>,
            ) -> Result<$output, ObjectiveError> {
                self.forward(Views::interleave(first, second)?, Views::PAIR)
            }

            /// As `forward`, of embeddings `[B, K, D]`: K views of each of B images.
            ///
            /// # Errors
            /// When K is less than 2, and as `forward`.
            pub fn forward_stacked<B: Backend>(&self, embeddings: Tensor<B, 3>) -> Result<$output, ObjectiveError> {
                let (rows, views) = Views::flatten(embeddings)?;
                self.forward(rows, views)
            }
        }
    )*};
}

layouts! {
    NtXent => Tensor<B, 1>;
    SparseClr => Tensor<B, 1>;
    PairwiseTerm => Tensor<B, 1>;
    Qare => Tensor<B, 1>;
    ContrastiveObjective => ObjectiveOutput<B>;
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};
    use burn_flex::Flex;

    use super::*;
    use crate::{ContrastiveObjectiveConfig, NtXentConfig, QareConfig};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
    }

    fn value(loss: Tensor<Flex, 1>) -> f32 {
        loss.into_scalar()
    }

    #[test]
    fn layouts_of_the_same_embeddings_have_the_same_loss() {
        let stacked = random([6, 2, 5]);
        let [first, second] = [0, 1].map(|view| stacked.clone().narrow(1, view, 1).squeeze_dim::<2>(1));
        let rows = stacked.clone().reshape([12, 5]);
        let objective = ContrastiveObjectiveConfig::sparseclr_qare(1.0, 0.5).init().unwrap();
        let expected = value(objective.forward(rows.clone(), Views::PAIR).unwrap().loss);
        assert_eq!(value(objective.forward_pair(first.clone(), second.clone()).unwrap().loss), expected);
        assert_eq!(value(objective.forward_stacked(stacked.clone()).unwrap().loss), expected);
        let nt_xent = NtXentConfig::new().init().unwrap();
        let expected = value(nt_xent.forward(rows, Views::PAIR).unwrap());
        assert_eq!(value(nt_xent.forward_pair(first, second).unwrap()), expected);
        assert_eq!(value(nt_xent.forward_stacked(stacked).unwrap()), expected);
        let of_three = random([4, 3, 5]);
        let rows = of_three.clone().reshape([12, 5]);
        let qare = QareConfig::new().init();
        let expected = value(qare.forward(rows, Views::new(3).unwrap()).unwrap());
        assert_eq!(value(qare.forward_stacked(of_three).unwrap()), expected);
    }

    #[test]
    fn views_that_are_none_are_told() {
        let nt_xent = NtXentConfig::new().init().unwrap();
        let error = nt_xent.forward_pair(random([4, 5]), random([3, 5])).unwrap_err();
        assert_eq!(error, ObjectiveError::UnlikeViews { first: [4, 5], second: [3, 5] });
        assert_eq!(nt_xent.forward_stacked(random([4, 1, 5])).unwrap_err(), ObjectiveError::TooFewViews { views: 1 });
    }

    /// pytorch-metric-learning, lightly and SimCLR's own code have the mean of the logs.
    #[test]
    fn the_default_is_the_fields() {
        let rows = Tensor::<Flex, 2>::from_data(
            TensorData::from([[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]]),
            &Default::default(),
        );
        let cosine = |i: usize, j: usize| -> f64 {
            let rows = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]];
            rows[i][0] * rows[j][0] + rows[i][1] * rows[j][1]
        };
        let probability = |i: usize, j: usize| {
            let others = (0..4).filter(|other| *other != i);
            (cosine(i, j) / 0.5).exp() / others.map(|other| (cosine(i, other) / 0.5).exp()).sum::<f64>()
        };
        let all = [(0, 1), (1, 0), (2, 3), (3, 2)].map(|(i, j)| probability(i, j));
        let mean_of_logs = -all.iter().map(|p| p.ln()).sum::<f64>() / 4.0;
        let log_of_mean = -(all.iter().sum::<f64>() / 4.0).ln();
        let found =
            |config: NtXentConfig| f64::from(value(config.init().unwrap().forward(rows.clone(), Views::PAIR).unwrap()));
        assert!((found(NtXentConfig::new()) - mean_of_logs).abs() < 1e-6);
        assert!((found(NtXentConfig::of_reference()) - log_of_mean).abs() < 1e-6);
        assert!(mean_of_logs - log_of_mean > 1e-3);
    }
}

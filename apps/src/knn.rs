//! The weighted k-nearest-neighbour classifier of frozen features.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;

use crate::features::Features;
use crate::recipe::KnnRecipe;

/// Queries compared with the bank at a time.
const CHUNK: usize = 512;

/// Accuracy in percent. Each query takes the class with the largest sum of exp(cosine/τ) over its k nearest neighbours
/// in the bank (up to a common factor; k at most the bank's size); of equal neighbours, and of equal classes, the first is taken.
///
/// Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (2018), section 3.4.
pub fn accuracy<B: Backend>(bank: &Features, queries: &Features, recipe: &KnnRecipe, device: &B::Device) -> f64 {
    let neighbours = recipe.neighbours.min(bank.len());
    let classes = bank.labels.iter().copied().max().map_or(0, |last| last as usize + 1);
    let unit = |features: Tensor<B, 2>| {
        let norms = (features.clone() * features.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
        features / norms
    };
    let columns = unit(bank.tensor::<B>(device)).transpose(); // [F, N]
    let mut correct = 0;
    for (chunk, labels) in queries.values.chunks(CHUNK * queries.dim).zip(queries.labels.chunks(CHUNK)) {
        let rows = TensorData::new(chunk.to_vec(), [labels.len(), queries.dim]);
        let similarities = unit(Tensor::<B, 2>::from_data(rows, device)).matmul(columns.clone()); // [Q, N]
        let similarities: Vec<f32> =
            similarities.into_data().convert::<f32>().into_vec().expect("the data has just been converted");
        correct += similarities
            .par_chunks_exact(bank.len())
            .zip(labels)
            .filter(|(row, label)| vote(row, &bank.labels, neighbours, recipe.temperature, classes) == **label as usize)
            .count();
    }
    100.0 * correct as f64 / queries.len() as f64
}

/// The class that a row of similarities votes for.
fn vote(similarities: &[f32], labels: &[u16], neighbours: usize, temperature: f64, classes: usize) -> usize {
    let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
    let nearest = |a: &u32, b: &u32| similarities[*b as usize].total_cmp(&similarities[*a as usize]).then(a.cmp(b));
    if neighbours < order.len() {
        order.select_nth_unstable_by(neighbours, nearest);
        order.truncate(neighbours);
    }
    // In one order, so that the sums are the same every time.
    order.sort_unstable();
    let largest = order.iter().map(|index| similarities[*index as usize]).fold(f32::MIN, f32::max);
    let mut votes = vec![0.0f64; classes];
    for index in order {
        let index = index as usize;
        votes[labels[index] as usize] += ((similarities[index] - largest) as f64 / temperature).exp();
    }
    let mut winner = 0;
    for (class, weight) in votes.iter().enumerate() {
        if *weight > votes[winner] {
            winner = class;
        }
    }
    winner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Training, device};
    use burn::tensor::backend::AutodiffBackend;

    type Plain = <Training as AutodiffBackend>::InnerBackend;

    fn features(rows: &[([f32; 2], u16)]) -> Features {
        Features {
            values: rows.iter().flat_map(|(row, _)| *row).collect(),
            dim: 2,
            labels: rows.iter().map(|(_, label)| *label).collect(),
        }
    }

    #[test]
    fn near_neighbours_outvote_many_far_ones() {
        // Two of class 0 beside the query, three of class 1 at a right angle: exp(1/0.1) against exp(0).
        let bank = features(&[([9.0, 0.1], 0), ([0.1, 1.0], 1), ([0.0, 2.0], 1), ([0.0, 3.0], 1), ([5.0, 0.0], 0)]);
        let queries = features(&[([1.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1)]);
        let recipe = KnnRecipe { neighbours: 5, temperature: 0.1, ..Default::default() };
        let found = accuracy::<Plain>(&bank, &queries, &recipe, &device(0));
        assert!((found - 200.0 / 3.0).abs() < 1e-9);
        // One neighbour and more neighbours than the bank has are fine too.
        for neighbours in [1, 200] {
            let recipe = KnnRecipe { neighbours, ..recipe.clone() };
            assert!((accuracy::<Plain>(&bank, &queries, &recipe, &device(0)) - 200.0 / 3.0).abs() < 1e-9);
        }
    }

    #[test]
    fn votes_equal_a_sort() {
        let similarities: Vec<f32> = (0..500u32).map(|i| ((i * 7919 % 1009) as f32 / 1009.0) * 2.0 - 1.0).collect();
        let labels: Vec<u16> = (0..500u16).map(|i| i * 31 % 10).collect();
        for neighbours in [1, 7, 200, 500] {
            let mut order: Vec<usize> = (0..500).collect();
            order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
            let mut votes = [0.0f64; 10];
            for &index in &order[..neighbours] {
                votes[labels[index] as usize] += (similarities[index] as f64 / 0.1).exp();
            }
            let expected = (0..10).max_by(|a, b| votes[*a].total_cmp(&votes[*b])).unwrap();
            assert_eq!(vote(&similarities, &labels, neighbours, 0.1, 10), expected);
        }
    }
}

//! Weighted k-nearest-neighbour classifier on frozen features.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;

use crate::evaluation::features::Features;
use crate::recipe::KnnRecipe;

/// Queries and bank rows compared at a time: few enough for the similarities to stay in the CPU caches, and enough for a matrix
/// product at full speed.
const QUERIES: usize = 512;
const ROWS: usize = 1024;

/// Computes the kNN accuracy in percent: the share of [`predictions`] that are right.
pub fn accuracy<B: Backend>(bank: &Features, queries: &Features, recipe: &KnnRecipe, device: &B::Device) -> f64 {
    let found = predictions::<B>(bank, queries, recipe, device);
    let correct = found.iter().zip(&queries.labels).filter(|(found, label)| found == label).count();
    100.0 * correct as f64 / queries.len() as f64
}

/// Predicts the class of each query.
///
/// A query is assigned the class with the largest sum of exp(cosine/τ) over its k nearest neighbours in the bank, up to a common
/// factor. k is at most the size of the bank. Ties between neighbours and between classes go to the first one.
///
/// Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (2018), section 3.4.
pub fn predictions<B: Backend>(
    bank: &Features,
    queries: &Features,
    recipe: &KnnRecipe,
    device: &B::Device,
) -> Vec<u16> {
    let neighbours = recipe.neighbours.min(bank.len());
    let classes = bank.labels.iter().copied().max().map_or(0, |last| last as usize + 1);
    let unit = |features: Tensor<B, 2>| {
        let norms = (features.clone() * features.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
        features / norms
    };
    let all = unit(bank.tensor::<B>(device)); // [N, F]
    let mut predicted = Vec::with_capacity(queries.len());
    for (chunk, labels) in queries.values.chunks(QUERIES * queries.dim).zip(queries.labels.chunks(QUERIES)) {
        let rows = TensorData::new(chunk.to_vec(), [labels.len(), queries.dim]);
        let rows = unit(Tensor::<B, 2>::from_data(rows, device)); // [Q, F]
        let mut nearest: Vec<Nearest> = labels.iter().map(|_| Nearest::new(neighbours)).collect();
        for start in (0..bank.len()).step_by(ROWS) {
            let end = bank.len().min(start + ROWS);
            let columns = all.clone().narrow(0, start, end - start).transpose(); // [F, rows]
            let similarities = rows.clone().matmul(columns).into_data().convert::<f32>(); // [Q, rows]
            let similarities = similarities.as_slice::<f32>().expect("the data has just been converted");
            let rows = similarities.par_chunks_exact(end - start);
            nearest.par_iter_mut().zip(rows).for_each(|(nearest, row)| nearest.update(row, start));
        }
        predicted.par_extend(
            nearest
                .into_par_iter()
                .map(|nearest| vote(&nearest.into_sorted(), &bank.labels, recipe.temperature, classes) as u16),
        );
    }
    predicted
}

/// The `count` nearest of the rows seen so far: those with the largest similarities, and the first of equal ones.
struct Nearest {
    count: usize,
    /// Sort key of each candidate: its [`rank`] in the high half, its inverted row number in the low half. Nearer rows have larger
    /// keys.
    candidates: Vec<u64>,
    /// Later rows become candidates only if their rank is larger.
    floor: i32,
}

impl Nearest {
    fn new(count: usize) -> Self {
        Self { count, candidates: Vec::with_capacity(Self::capacity(count)), floor: i32::MIN }
    }

    /// Number of candidates at which the list is pruned. Few rows become candidates, so pruning is rare.
    fn capacity(count: usize) -> usize {
        2 * count + 64
    }

    /// Adds the similarities of the rows from `start` on.
    fn update(&mut self, similarities: &[f32], start: usize) {
        const STRIDE: usize = 16;
        for (number, stride) in similarities.chunks(STRIDE).enumerate() {
            // One test for a whole stride, because candidates are rare.
            if !stride.iter().fold(false, |near, similarity| near | (rank(*similarity) > self.floor)) {
                continue;
            }
            for (place, similarity) in stride.iter().enumerate() {
                let rank = rank(*similarity);
                if rank > self.floor {
                    let row = (start + number * STRIDE + place) as u32;
                    // Flipping the sign bit maps signed to unsigned integers in the same order.
                    self.candidates.push(u64::from(rank as u32 ^ (1 << 31)) << 32 | u64::from(!row));
                    if self.candidates.len() == Self::capacity(self.count) {
                        self.prune();
                    }
                }
            }
        }
    }

    /// Keeps the `count` nearest candidates.
    fn prune(&mut self) {
        if self.candidates.len() > self.count {
            self.candidates.select_nth_unstable_by(self.count - 1, |a, b| b.cmp(a));
            self.candidates.truncate(self.count);
            self.floor = ((self.candidates[self.count - 1] >> 32) as u32 ^ (1 << 31)) as i32;
        }
    }

    /// Returns the nearest rows and their similarities, sorted by row.
    fn into_sorted(mut self) -> Vec<(usize, f32)> {
        self.prune();
        self.candidates.sort_unstable_by_key(|candidate| !(*candidate as u32));
        let decode = |candidate: u64| {
            let rank = ((candidate >> 32) as u32 ^ (1 << 31)) as i32;
            (!(candidate as u32) as usize, f32::from_bits(flip_negative(rank) as u32))
        };
        self.candidates.into_iter().map(decode).collect()
    }
}

/// Maps a number to an integer in the order of [`f32::total_cmp`].
fn rank(similarity: f32) -> i32 {
    flip_negative(similarity.to_bits() as i32)
}

/// Reverses the order of negative integers. The function is its own inverse.
fn flip_negative(bits: i32) -> i32 {
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// Returns the class with the largest sum of weights exp(similarity/τ); of equal classes, the first.
fn vote(nearest: &[(usize, f32)], labels: &[u16], temperature: f64, classes: usize) -> usize {
    let largest = nearest.iter().map(|(_, similarity)| *similarity).fold(f32::MIN, f32::max);
    let mut votes = vec![0.0f64; classes];
    for (row, similarity) in nearest {
        votes[labels[*row] as usize] += ((similarity - largest) as f64 / temperature).exp();
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
    use crate::test_backend::{Training, any_device};
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
        let found = accuracy::<Plain>(&bank, &queries, &recipe, &any_device());
        assert!((found - 200.0 / 3.0).abs() < 1e-9);
        // One neighbour, and more neighbours than the bank has rows.
        for neighbours in [1, 200] {
            let recipe = KnnRecipe { neighbours, ..recipe.clone() };
            assert!((accuracy::<Plain>(&bank, &queries, &recipe, &any_device()) - 200.0 / 3.0).abs() < 1e-9);
        }
    }

    /// The nearest rows by a full sort, in the order of the rows.
    fn nearest_by_sort(similarities: &[f32], count: usize) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        // The sort is stable, so the first of equal rows stays first.
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        order.truncate(count);
        order.sort();
        order.into_iter().map(|row| (row, similarities[row])).collect()
    }

    #[test]
    fn nearest_rows_equal_a_full_sort() {
        let bits =
            |found: &[(usize, f32)]| found.iter().map(|(row, value)| (*row, value.to_bits())).collect::<Vec<_>>();
        // Distinct values; coarse values with many ties; rising and falling values; signed zeros, NaN and infinity.
        let value = |kind: usize, i: usize| match kind {
            0 => ((i * 7919 % 1009) as f32 / 1009.0) * 2.0 - 1.0,
            1 => (i * 7919 % 13) as f32 / 13.0 - 0.5,
            2 => i as f32 / 3000.0,
            3 => -(i as f32) / 3000.0,
            _ => [0.0, -0.0, 0.5, f32::NAN, -f32::NAN, f32::INFINITY, -0.5][i * 31 % 7],
        };
        for kind in 0..5 {
            let similarities: Vec<f32> = (0..3001).map(|i| value(kind, i)).collect();
            for count in [1, 7, 200, 3000, 3001] {
                for step in [1, 100, 1024, 3001] {
                    let mut nearest = Nearest::new(count);
                    for (part, start) in similarities.chunks(step).zip((0..).step_by(step)) {
                        nearest.update(part, start);
                    }
                    let expected = nearest_by_sort(&similarities, count);
                    assert_eq!(
                        bits(&nearest.into_sorted()),
                        bits(&expected),
                        "kind {kind}, {count} of parts of {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn accuracy_equals_a_pairwise_computation_in_f64() {
        // More than one block of queries and of bank rows, with an incomplete last block of both.
        let (dim, classes) = (5, 3);
        let features = |rows: usize, seed: u64| {
            let mut draw = qare_data::Draw::new(seed, qare_data::Purpose::View, 0, 0, 0);
            let labels: Vec<u16> = (0..rows).map(|_| draw.below(classes) as u16).collect();
            let value =
                |place: usize| draw.bell() + if place % dim == labels[place / dim] as usize { 1.0 } else { 0.0 };
            let values = (0..rows * dim).map(value).collect();
            Features { values, dim, labels }
        };
        let (bank, queries) = (features(ROWS + 77, 1), features(QUERIES + 33, 2));
        let unit = |row: &[f32]| {
            let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|value| f64::from(*value) / norm).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<f64>> = bank.values.chunks(dim).map(unit).collect();
        let recipe = KnnRecipe { neighbours: 20, temperature: 0.1, ..Default::default() };
        let right = queries.values.chunks(dim).map(unit).zip(&queries.labels).filter(|(query, label)| {
            let cosine = |row: &Vec<f64>| row.iter().zip(query).map(|(a, b)| a * b).sum::<f64>();
            let mut cosines: Vec<(f64, u16)> = rows.iter().map(cosine).zip(bank.labels.iter().copied()).collect();
            cosines.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut votes = vec![0.0; classes];
            for (cosine, label) in &cosines[..recipe.neighbours] {
                votes[usize::from(*label)] += (cosine / recipe.temperature).exp();
            }
            (0..classes).max_by(|a, b| votes[*a].total_cmp(&votes[*b])) == Some(usize::from(**label))
        });
        let expected = 100.0 * right.count() as f64 / queries.len() as f64;
        let found = accuracy::<Plain>(&bank, &queries, &recipe, &any_device());
        assert!((40.0..95.0).contains(&expected), "neither trivial nor chance: {expected}");
        // Rounding to f32 may swap neighbours of nearly equal similarity.
        assert!((found - expected).abs() < 0.4, "{found} is not {expected}");
    }
}

//! The weighted k-nearest-neighbour classifier of frozen features.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;

use crate::evaluation::features::Features;
use crate::recipe::KnnRecipe;

/// Queries and rows of the bank that are compared at a time: few enough for their similarities to stay in the caches of a
/// processor, enough for a product of matrices at full speed.
const QUERIES: usize = 512;
const ROWS: usize = 1024;

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
    let all = unit(bank.tensor::<B>(device)); // [N, F]
    let mut correct = 0;
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
            nearest.par_iter_mut().zip(rows).for_each(|(nearest, row)| nearest.look_at(row, start));
        }
        correct += nearest
            .into_par_iter()
            .zip(labels)
            .map(|(nearest, label)| (vote(&nearest.found(), &bank.labels, recipe.temperature, classes), label))
            .filter(|(winner, label)| *winner == usize::from(**label))
            .count();
    }
    100.0 * correct as f64 / queries.len() as f64
}

/// The nearest of the rows seen so far, those with the largest similarities; of equal ones, the first.
struct Nearest {
    count: usize,
    /// [`rank`] of each candidate above its row number, the latter inverted: a larger number is a nearer row.
    candidates: Vec<u64>,
    /// What a later row's rank has to exceed.
    floor: i32,
}

impl Nearest {
    fn new(count: usize) -> Self {
        Self { count, candidates: Vec::with_capacity(Self::room(count)), floor: i32::MIN }
    }

    /// Candidates kept until the best are picked. Few rows of many are candidates, so it is done seldom.
    fn room(count: usize) -> usize {
        2 * count + 64
    }

    /// Takes notice of the next rows' similarities; the first is that of row `start`.
    fn look_at(&mut self, similarities: &[f32], start: usize) {
        const STRIDE: usize = 16;
        for (number, stride) in similarities.chunks(STRIDE).enumerate() {
            // One test for all of them, which are hardly ever near.
            if !stride.iter().fold(false, |near, similarity| near | (rank(*similarity) > self.floor)) {
                continue;
            }
            for (place, similarity) in stride.iter().enumerate() {
                let rank = rank(*similarity);
                if rank > self.floor {
                    let row = (start + number * STRIDE + place) as u32;
                    // Flipping the sign makes unsigned numbers of the same order.
                    self.candidates.push(u64::from(rank as u32 ^ (1 << 31)) << 32 | u64::from(!row));
                    if self.candidates.len() == Self::room(self.count) {
                        self.pick();
                    }
                }
            }
        }
    }

    /// Keeps the nearest.
    fn pick(&mut self) {
        if self.candidates.len() > self.count {
            self.candidates.select_nth_unstable_by(self.count - 1, |a, b| b.cmp(a));
            self.candidates.truncate(self.count);
            self.floor = ((self.candidates[self.count - 1] >> 32) as u32 ^ (1 << 31)) as i32;
        }
    }

    /// Rows and their similarities in the order of the rows.
    fn found(mut self) -> Vec<(usize, f32)> {
        self.pick();
        self.candidates.sort_unstable_by_key(|candidate| !(*candidate as u32));
        let found = |candidate: u64| {
            let rank = ((candidate >> 32) as u32 ^ (1 << 31)) as i32;
            (!(candidate as u32) as usize, f32::from_bits(folded(rank) as u32))
        };
        self.candidates.into_iter().map(found).collect()
    }
}

/// An integer that is larger for a larger number, in the order of [`f32::total_cmp`].
fn rank(similarity: f32) -> i32 {
    folded(similarity.to_bits() as i32)
}

/// Turns the order of negative numbers around; twice, and they are as they were.
fn folded(bits: i32) -> i32 {
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// The class that rows with these similarities vote for.
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
        // One neighbour and more neighbours than the bank has are fine too.
        for neighbours in [1, 200] {
            let recipe = KnnRecipe { neighbours, ..recipe.clone() };
            assert!((accuracy::<Plain>(&bank, &queries, &recipe, &any_device()) - 200.0 / 3.0).abs() < 1e-9);
        }
    }

    /// Rows and similarities in the order of the rows, of a sort of them all.
    fn sorted(similarities: &[f32], count: usize) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        // Stable: of equal ones the first stays first.
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        order.truncate(count);
        order.sort();
        order.into_iter().map(|row| (row, similarities[row])).collect()
    }

    #[test]
    fn the_nearest_are_those_of_a_sort() {
        let bits =
            |found: &[(usize, f32)]| found.iter().map(|(row, value)| (*row, value.to_bits())).collect::<Vec<_>>();
        // Coarse values, so that many are equal; rising and falling ones; zeros of both signs and numbers that are none.
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
                        nearest.look_at(part, start);
                    }
                    let expected = sorted(&similarities, count);
                    assert_eq!(bits(&nearest.found()), bits(&expected), "kind {kind}, {count} of parts of {step}");
                }
            }
        }
    }

    #[test]
    fn accuracy_is_that_of_comparing_one_pair_after_the_other() {
        // More than one block of queries and of the bank, and neither a whole number of them.
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
        // In f32 two neighbours may be one too close to call.
        assert!((found - expected).abs() < 0.4, "{found} is not {expected}");
    }
}

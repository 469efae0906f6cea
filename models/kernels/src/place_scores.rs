//! Scores of an image's features and its maps at each place: the local discriminator of Deep InfoMax, with its gradients.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::vectors::vectorize;

/// Number of places that go through the layers together: their hidden values stay in the cache of a core.
const ROWS: usize = 256;
/// Number of groups of images whose gradients of the weights are added up one by one. It is fixed, so that sums do not depend on the threads.
const GROUPS: usize = 16;

/// At each place p of an image with features y `[F]` and maps M `[C, P]`:
///
/// h₀ = relu(W₀ [M_p, y] + b₀), h₁ = relu(W₁ h₀ + b₁), score = w₂·h₁ + b₂
///
/// W_y y, which is the same at each place, is computed once. The hidden values of a place are never written to memory: the backward pass
/// computes them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceScores {
    /// Places of an image, P.
    pub places: usize,
    /// Channels of the maps, C.
    pub channels: usize,
    /// Features of an image, F.
    pub features: usize,
    /// Hidden values of a place, H.
    pub hidden: usize,
}

/// Weights of a [`PlaceScores`], or their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceWeights<T> {
    /// W₀ `[H, C + F]`
    pub first: T,
    /// b₀ `[H]`
    pub first_bias: T,
    /// W₁ `[H, H]`
    pub second: T,
    /// b₁ `[H]`
    pub second_bias: T,
    /// w₂ `[H]`
    pub last: T,
    /// b₂ `[1]`
    pub last_bias: T,
}

/// Gradients of a [`PlaceScores`].
#[derive(Clone, Debug)]
pub struct PlaceGradients {
    /// Of the maps, `[N, C, P]`.
    pub maps: Vec<f32>,
    /// Of the features, `[N, F]`.
    pub features: Vec<f32>,
    /// Of the weights.
    pub weights: PlaceWeights<Vec<f32>>,
}

/// Hidden values and gradients of some places.
struct Scratch {
    base: Vec<f32>,
    first: Buffer,
    second: Buffer,
    of_first: Buffer,
    of_base: Vec<f32>,
}

impl PlaceScores {
    /// Scores `[N, P]` of maps `[N, C, P]` and features `[N, F]`.
    ///
    /// # Panics
    ///
    /// If a slice does not have the length that the sizes tell.
    pub fn forward(&self, maps: &[f32], features: &[f32], weights: &PlaceWeights<&[f32]>) -> Vec<f32> {
        self.check(maps, features, weights);
        let mut scores = Buffer::new(maps.len() / self.channels).into_vec();
        let images = maps.par_chunks_exact(self.channels * self.places).zip(features.par_chunks_exact(self.features));
        scores.par_chunks_exact_mut(self.places).zip(images).for_each_init(
            || self.scratch(),
            |scratch, (scores, (maps, features))| {
                self.base(features, weights, &mut scratch.base);
                for start in (0..self.places).step_by(ROWS) {
                    let rows = ROWS.min(self.places - start);
                    self.hidden(maps, start, rows, weights, scratch);
                    let hidden = scratch.second[..rows * self.hidden].chunks_exact(self.hidden);
                    for (score, hidden) in scores[start..].iter_mut().zip(hidden) {
                        *score = weights.last_bias[0] + dot(hidden, weights.last);
                    }
                }
            },
        );
        scores
    }

    /// The gradients for those of the scores, `[N, P]`.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn backward(
        &self,
        maps: &[f32],
        features: &[f32],
        weights: &PlaceWeights<&[f32]>,
        of_scores: &[f32],
    ) -> PlaceGradients {
        self.check(maps, features, weights);
        assert_eq!(of_scores.len() * self.channels, maps.len(), "gradients of the scores (left) and maps (right)");
        let images = features.len() / self.features;
        let mut of_maps = Buffer::new(maps.len()).into_vec();
        let mut of_features = vec![0.0; features.len()];
        let group = images.div_ceil(GROUPS).max(1);
        let map_len = self.channels * self.places;
        let groups = (maps.par_chunks(group * map_len).zip(features.par_chunks(group * self.features)))
            .zip(of_scores.par_chunks(group * self.places))
            .zip(of_maps.par_chunks_mut(group * map_len).zip(of_features.par_chunks_mut(group * self.features)));
        let parts: Vec<PlaceWeights<Vec<f32>>> = groups
            .map(|(((maps, features), of_scores), (of_maps, of_features))| {
                let (mut sums, mut scratch) = (self.zeros(), self.scratch());
                let inputs = maps.chunks_exact(map_len).zip(features.chunks_exact(self.features));
                let outputs = of_maps.chunks_exact_mut(map_len).zip(of_features.chunks_exact_mut(self.features));
                for ((image, of_scores), of_image) in inputs.zip(of_scores.chunks_exact(self.places)).zip(outputs) {
                    self.of_image(image, weights, of_scores, of_image, &mut sums, &mut scratch);
                }
                sums
            })
            .collect();
        let weights = parts.into_iter().reduce(PlaceWeights::plus).unwrap_or_else(|| self.zeros());
        PlaceGradients { maps: of_maps, features: of_features, weights }
    }

    /// Adds the gradients of the weights for one image, and writes those of its maps and features.
    fn of_image(
        &self,
        (maps, features): (&[f32], &[f32]),
        weights: &PlaceWeights<&[f32]>,
        of_scores: &[f32],
        (of_maps, of_features): (&mut [f32], &mut [f32]),
        sums: &mut PlaceWeights<Vec<f32>>,
        scratch: &mut Scratch,
    ) {
        let Self { places, channels, features: count, hidden } = *self;
        self.base(features, weights, &mut scratch.base);
        scratch.of_base.fill(0.0);
        let inputs = channels + count;
        let of_channels = MatRef::from_row_major_slice(weights.first, hidden, inputs).subcols(0, channels); // [H, C]
        for start in (0..places).step_by(ROWS) {
            let rows = ROWS.min(places - start);
            self.hidden(maps, start, rows, weights, scratch);
            let Scratch { first, second, of_first, of_base, .. } = &mut *scratch;
            let (first, second, of_first) =
                (&first[..rows * hidden], &mut second[..rows * hidden], &mut of_first[..rows * hidden]);

            // From the scores to what goes into the second ReLU.
            let of_scores = &of_scores[start..][..rows];
            of_scores.iter().for_each(|gradient| sums.last_bias[0] += gradient);
            let (of_last, of_bias) = (&mut sums.last[..], &mut sums.second_bias[..]);
            vectorize(hidden, OfLast { values: second, of_scores, last: weights.last, of_last, of_bias });
            let as_matrix = |values| MatRef::from_row_major_slice(values, rows, hidden);
            let (of_second, first_rows) = (as_matrix(&*second), as_matrix(first));
            let second_weights = MatRef::from_row_major_slice(weights.second, hidden, hidden);
            let sum = MatMut::from_row_major_slice_mut(&mut sums.second, hidden, hidden);
            matmul(sum, Accum::Add, of_second.transpose(), first_rows, 1.0, Par::Seq);

            // To what goes into the first ReLU.
            let to = MatMut::from_row_major_slice_mut(of_first, rows, hidden);
            matmul(to, Accum::Replace, of_second, second_weights, 1.0, Par::Seq);
            vectorize(hidden, OfRelu { gradients: of_first, values: first, sums: of_base });
            let of_first = MatRef::from_row_major_slice(of_first, rows, hidden);
            let part = MatRef::from_row_major_slice(maps, channels, places).subcols(start, rows); // [C, R]
            let sum = MatMut::from_row_major_slice_mut(&mut sums.first, hidden, inputs).subcols_mut(0, channels);
            matmul(sum, Accum::Add, of_first.transpose(), part.transpose(), 1.0, Par::Seq);
            let to = MatMut::from_row_major_slice_mut(of_maps, channels, places).subcols_mut(start, rows);
            matmul(to, Accum::Replace, of_channels.transpose(), of_first.transpose(), 1.0, Par::Seq);
        }
        of_features.fill(0.0);
        let rows = weights.first.chunks_exact(inputs).zip(sums.first.chunks_exact_mut(inputs));
        for ((row, sums_of_row), (gradient, of_bias)) in rows.zip(scratch.of_base.iter().zip(&mut sums.first_bias)) {
            *of_bias += gradient;
            let weights = row[channels..].iter().zip(&mut sums_of_row[channels..]);
            for ((weight, sum), (feature, of_feature)) in weights.zip(features.iter().zip(of_features.iter_mut())) {
                *sum += gradient * feature;
                *of_feature += gradient * weight;
            }
        }
    }

    /// b₀ + W_y y, the same at each place.
    fn base(&self, features: &[f32], weights: &PlaceWeights<&[f32]>, base: &mut [f32]) {
        let rows = weights.first.chunks_exact(self.channels + self.features);
        for ((base, row), bias) in base.iter_mut().zip(rows).zip(weights.first_bias) {
            *base = bias + dot(&row[self.channels..], features);
        }
    }

    /// Hidden values of `rows` places from `start` on.
    fn hidden(&self, maps: &[f32], start: usize, rows: usize, weights: &PlaceWeights<&[f32]>, scratch: &mut Scratch) {
        let Self { places, channels, features, hidden } = *self;
        let [first, second] = [&mut scratch.first, &mut scratch.second].map(|values| &mut values[..rows * hidden]);
        first.chunks_exact_mut(hidden).for_each(|row| row.copy_from_slice(&scratch.base));
        let part = MatRef::from_row_major_slice(maps, channels, places).subcols(start, rows); // [C, R]
        let of_channels = MatRef::from_row_major_slice(weights.first, hidden, channels + features).subcols(0, channels);
        let to = MatMut::from_row_major_slice_mut(first, rows, hidden);
        matmul(to, Accum::Add, part.transpose(), of_channels.transpose(), 1.0, Par::Seq);
        relu(first);
        second.chunks_exact_mut(hidden).for_each(|row| row.copy_from_slice(weights.second_bias));
        let to = MatMut::from_row_major_slice_mut(second, rows, hidden);
        let first = MatRef::from_row_major_slice(&*first, rows, hidden);
        let second_weights = MatRef::from_row_major_slice(weights.second, hidden, hidden);
        matmul(to, Accum::Add, first, second_weights.transpose(), 1.0, Par::Seq);
        relu(second);
    }

    fn scratch(&self) -> Scratch {
        let rows = || Buffer::new(ROWS.min(self.places) * self.hidden);
        let hidden = || vec![0.0; self.hidden];
        Scratch { base: hidden(), first: rows(), second: rows(), of_first: rows(), of_base: hidden() }
    }

    fn zeros(&self) -> PlaceWeights<Vec<f32>> {
        let Self { channels, features, hidden, .. } = *self;
        let zeros = |len| vec![0.0; len];
        PlaceWeights {
            first: zeros(hidden * (channels + features)),
            first_bias: zeros(hidden),
            second: zeros(hidden * hidden),
            second_bias: zeros(hidden),
            last: zeros(hidden),
            last_bias: zeros(1),
        }
    }

    /// Panics if a length is not that of the sizes.
    fn check(&self, maps: &[f32], features: &[f32], weights: &PlaceWeights<&[f32]>) {
        let Self { places, channels, features: count, hidden } = *self;
        assert!(places > 0 && channels > 0 && count > 0 && hidden > 0, "sizes above 0, not {self:?}");
        assert!(features.len().is_multiple_of(count), "features of whole images");
        assert_eq!(
            maps.len(),
            features.len() / count * channels * places,
            "values of the maps (left) and their sizes (right)"
        );
        let zeros = [hidden * (channels + count), hidden, hidden * hidden, hidden, hidden, 1];
        let PlaceWeights { first, first_bias, second, second_bias, last, last_bias } = weights;
        let found = [first, first_bias, second, second_bias, last, last_bias].map(|values| values.len());
        assert_eq!(found, zeros, "weights (left) and their sizes (right)");
    }
}

/// From the gradients of the scores to those of what goes into the second ReLU, which take the place of its values `[R, H]`.
struct OfLast<'a> {
    values: &'a mut [f32],
    of_scores: &'a [f32],
    last: &'a [f32],
    /// Gradients to add to, of w₂ and b₁.
    of_last: &'a mut [f32],
    of_bias: &'a mut [f32],
}

impl WithSimd for OfLast<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, of_scores, last, of_last, of_bias } = self;
        for (row, gradient) in values.chunks_exact_mut(last.len()).zip(of_scores) {
            let sums = of_last.iter_mut().zip(of_bias.iter_mut());
            for ((value, last), (of_last, of_bias)) in row.iter_mut().zip(last).zip(sums) {
                *of_last += gradient * *value;
                *value = if *value > 0.0 { gradient * last } else { 0.0 };
                *of_bias += *value;
            }
        }
    }
}

/// Clears the gradients `[R, H]` where the ReLU has no value, and adds the rest of each column to a sum.
struct OfRelu<'a> {
    gradients: &'a mut [f32],
    values: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for OfRelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let hidden = self.sums.len();
        for (row, values) in self.gradients.chunks_exact_mut(hidden).zip(self.values.chunks_exact(hidden)) {
            for ((gradient, value), sum) in row.iter_mut().zip(values).zip(self.sums.iter_mut()) {
                *gradient = if *value > 0.0 { *gradient } else { 0.0 };
                *sum += *gradient;
            }
        }
    }
}

impl PlaceWeights<Vec<f32>> {
    fn plus(self, other: Self) -> Self {
        let sum = |mut one: Vec<f32>, other: Vec<f32>| {
            one.iter_mut().zip(other).for_each(|(one, other)| *one += other);
            one
        };
        Self {
            first: sum(self.first, other.first),
            first_bias: sum(self.first_bias, other.first_bias),
            second: sum(self.second, other.second),
            second_bias: sum(self.second_bias, other.second_bias),
            last: sum(self.last, other.last),
            last_bias: sum(self.last_bias, other.last_bias),
        }
    }
}

/// NaN stays NaN.
fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value });
}

/// The sum of the products, in eight partial sums, which compilers turn into vectors.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, right) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (left, right) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(left).zip(right) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from −1 to 1.
    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    struct Case {
        sizes: PlaceScores,
        maps: Vec<f32>,
        features: Vec<f32>,
        weights: PlaceWeights<Vec<f32>>,
    }

    impl Case {
        fn new([images, places, channels, features, hidden]: [usize; 5]) -> Self {
            let weights = PlaceWeights {
                first: values(hidden * (channels + features), 1),
                first_bias: values(hidden, 2),
                second: values(hidden * hidden, 3),
                second_bias: values(hidden, 4),
                last: values(hidden, 5),
                last_bias: vec![0.25],
            };
            let sizes = PlaceScores { places, channels, features, hidden };
            Self { sizes, maps: values(images * channels * places, 6), features: values(images * features, 7), weights }
        }

        fn weights(&self) -> PlaceWeights<&[f32]> {
            let PlaceWeights { first, first_bias, second, second_bias, last, last_bias } = &self.weights;
            PlaceWeights { first, first_bias, second, second_bias, last, last_bias }
        }

        /// The formula, place by place, in f64.
        fn literal(&self) -> Vec<f64> {
            let PlaceScores { places, channels, features, hidden } = self.sizes;
            let of = |values: &[f32], at: usize| f64::from(values[at]);
            let weights = &self.weights;
            let mut scores = Vec::new();
            for image in 0..self.features.len() / features {
                for place in 0..places {
                    let map = |c| of(&self.maps, (image * channels + c) * places + place);
                    let input =
                        |i| if i < channels { map(i) } else { of(&self.features, image * features + i - channels) };
                    let inputs = channels + features;
                    let row = |h| (0..inputs).map(|i| of(&weights.first, h * inputs + i) * input(i)).sum::<f64>();
                    let first: Vec<f64> = (0..hidden).map(|h| (row(h) + of(&weights.first_bias, h)).max(0.0)).collect();
                    let row = |h| (0..hidden).map(|i| of(&weights.second, h * hidden + i) * first[i]).sum::<f64>();
                    let second = (0..hidden).map(|h| (row(h) + of(&weights.second_bias, h)).max(0.0));
                    let score = second.enumerate().map(|(h, value)| of(&weights.last, h) * value).sum::<f64>();
                    scores.push(score + of(&weights.last_bias, 0));
                }
            }
            scores
        }

        /// All values that the scores depend on.
        fn arguments(&mut self) -> [&mut Vec<f32>; 8] {
            let PlaceWeights { first, first_bias, second, second_bias, last, last_bias } = &mut self.weights;
            [&mut self.maps, &mut self.features, first, first_bias, second, second_bias, last, last_bias]
        }
    }

    const CASES: [[usize; 5]; 4] = [[1, 1, 1, 1, 1], [3, 5, 2, 3, 7], [2, 259, 3, 4, 5], [18, 6, 8, 5, 16]];

    #[test]
    fn scores_are_those_of_the_formula() {
        for sizes in CASES {
            let case = Case::new(sizes);
            let found = case.sizes.forward(&case.maps, &case.features, &case.weights());
            let expected = case.literal();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                // Sums of at most 16 products of numbers below 16.
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{sizes:?}: {found} {expected}");
            }
        }
        let none = Case::new([0, 4, 2, 3, 5]);
        assert!(none.sizes.forward(&[], &[], &none.weights()).is_empty());
        let gradients = none.sizes.backward(&[], &[], &none.weights(), &[]);
        assert!(gradients.maps.is_empty() && gradients.weights == none.sizes.zeros());
    }

    #[test]
    fn gradients_are_finite_differences() {
        for sizes in CASES {
            let mut case = Case::new(sizes);
            let of_scores = values(sizes[0] * sizes[1], 8);
            let found = case.sizes.backward(&case.maps, &case.features, &case.weights(), &of_scores);
            let PlaceWeights { first, first_bias, second, second_bias, last, last_bias } = found.weights;
            let all = [found.maps, found.features, first, first_bias, second, second_bias, last, last_bias];
            let sum = |case: &Case| -> f64 {
                case.literal().iter().zip(&of_scores).map(|(score, weight)| score * f64::from(*weight)).sum()
            };
            for (argument, gradient) in all.into_iter().enumerate() {
                let scale = gradient.iter().fold(1f64, |most, value| most.max(f64::from(value.abs())));
                for at in (0..gradient.len()).step_by(1 + gradient.len() / 9) {
                    let mut of = |step: f32| {
                        let value = case.arguments()[argument][at];
                        case.arguments()[argument][at] = value + step;
                        let (moved, result) = (case.arguments()[argument][at] - value, sum(&case));
                        case.arguments()[argument][at] = value;
                        (f64::from(moved), result)
                    };
                    let ((up, above), (down, below)) = (of(2f32.powi(-16)), of(-2f32.powi(-16)));
                    let expected = (above - below) / (up - down);
                    let error = (f64::from(gradient[at]) - expected).abs();
                    // A ReLU may change its side within a step, which changes the difference by a part.
                    assert!(error < 2e-3 * scale, "{sizes:?}, argument {argument}: {} {expected}", gradient[at]);
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let case = Case::new([37, 300, 4, 6, 24]);
        let of_scores = values(37 * 300, 9);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let scores = case.sizes.forward(&case.maps, &case.features, &case.weights());
                let found = case.sizes.backward(&case.maps, &case.features, &case.weights(), &of_scores);
                (scores, found.maps, found.features, found.weights)
            })
        };
        assert!(on(1) == on(3));
    }
}

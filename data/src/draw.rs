//! Random numbers as a function of their purpose.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const SQRT_3: f32 = 1.732_050_8;

/// The purpose of a draw. Draws with different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order of the images in an epoch.
    Shuffle = 1,
    /// The augmentation of one view of one image.
    View = 2,
    /// The images that are held out of a training set.
    HeldOut = 3,
    /// One image of a drawn dataset.
    Picture = 4,
    /// The order of the images in an epoch of a linear probe.
    Probe = 5,
    /// The samples of a prior that the features of a batch are matched with.
    Prior = 6,
    /// The initial centres of a clustering.
    Clusters = 7,
    /// The images of a subset.
    Part = 8,
    /// The identities and the images in the batches of an epoch.
    Identities = 9,
    /// The identities that are held out of a training set.
    HeldOutIdentities = 10,
}

/// A stream of random numbers that is a function of (seed, purpose, epoch, image index, view).
///
/// The five values are the key and the stream number of ChaCha8, so different values give independent streams, and every
/// platform gives the same ones.
#[derive(Clone, Debug)]
pub struct Draw {
    generator: ChaCha8Rng,
}

impl Draw {
    /// The stream for these values. Pass 0 for a value that does not apply.
    pub fn new(seed: u64, purpose: Purpose, epoch: u64, index: u64, view: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, value) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, index]) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(view);
        Self { generator }
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..bound`, with a bias below `bound` / 2⁶⁴.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is no number below zero to draw");
        ((self.generator.next_u64() as u128 * bound as u128) >> 64) as usize
    }

    /// Approximately normal with mean 0 and standard deviation 1, within ±2√3: the scaled sum of four uniform numbers. Unlike a
    /// normal draw it needs no function whose last digit depends on the platform.
    pub fn bell(&mut self) -> f32 {
        let bits = self.generator.next_u64();
        let sum: u32 = (0..4).map(|quarter| (bits >> (16 * quarter)) as u32 & 0xffff).sum();
        (sum as f32 / 65535.0 - 2.0) * SQRT_3
    }

    /// Shuffles the items (Fisher–Yates); every order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// The numbers `0..len` in random order.
    pub fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_address_matters() {
        let first = |seed, purpose, epoch, index, view| Draw::new(seed, purpose, epoch, index, view).unit();
        let base = first(1, Purpose::View, 2, 3, 4);
        assert_eq!(base, first(1, Purpose::View, 2, 3, 4));
        for other in [
            first(9, Purpose::View, 2, 3, 4),
            first(1, Purpose::Shuffle, 2, 3, 4),
            first(1, Purpose::View, 9, 3, 4),
            first(1, Purpose::View, 2, 9, 4),
            first(1, Purpose::View, 2, 3, 9),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn neighbouring_streams_are_uncorrelated() {
        // The first numbers of many neighbouring streams must look like one uniform sample.
        let count = 20_000;
        let values: Vec<f64> =
            (0..count).map(|index| Draw::new(0, Purpose::View, 0, index / 2, index % 2).unit()).collect();
        let mean = values.iter().sum::<f64>() / count as f64;
        let sigma = (1.0 / 12.0 / count as f64).sqrt();
        assert!((mean - 0.5).abs() < 5.0 * sigma, "mean {mean}");
        let lagged = values.windows(2).map(|pair| (pair[0] - 0.5) * (pair[1] - 0.5)).sum::<f64>() * 12.0;
        assert!((lagged / count as f64).abs() < 5.0 / (count as f64).sqrt(), "correlation {lagged}");
    }

    #[test]
    fn below_and_permutation_cover_evenly() {
        let mut draw = Draw::new(3, Purpose::Shuffle, 0, 0, 0);
        let (trials, size) = (24_000, 4);
        let mut counts = [[0usize; 4]; 4];
        for _ in 0..trials {
            let order = draw.permutation(size);
            let mut seen = order.clone();
            seen.sort_unstable();
            assert_eq!(seen, vec![0, 1, 2, 3]);
            for (place, &item) in order.iter().enumerate() {
                counts[place][item] += 1;
            }
        }
        let (expected, sigma) = (trials as f64 / 4.0, (trials as f64 * 0.25 * 0.75).sqrt());
        for count in counts.iter().flatten() {
            assert!((*count as f64 - expected).abs() < 5.0 * sigma, "{counts:?}");
        }
    }

    #[test]
    fn the_numbers_never_change() {
        // Later versions of this crate must repeat a run.
        let mut draw = Draw::new(7, Purpose::View, 1, 2, 3);
        let numbers: Vec<usize> = (0..4).map(|_| draw.below(1000)).collect();
        assert_eq!(numbers, NUMBERS);
    }

    const NUMBERS: [usize; 4] = [735, 97, 179, 338];
}

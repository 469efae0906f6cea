//! Random numbers for tests.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Returns approximately normal numbers: sums of twelve uniform ones.
pub(crate) fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut unit = || generator.next_u32() as f32 / u32::MAX as f32;
    (0..count).map(|_| (0..12).map(|_| unit()).sum::<f32>() - 6.0).collect()
}

//! Changes a corpus as fuzzers do. The changes are a function of a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The limits of the numbers that a field of a file can have.
const EDGES: [u64; 14] =
    [0, 1, 2, 7, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// Makes new files from those of a corpus.
pub struct Mutator {
    rng: ChaCha8Rng,
}

impl Mutator {
    /// A mutator. The same seed gives the same files.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.rng.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A file of the corpus with one to six changes.
    ///
    /// # Panics
    /// If the corpus is empty.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, corpus);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(self.rng.next_u32() as u8);
            return;
        }
        let at = self.below(bytes.len());
        // The length is mostly short, and sometimes the whole rest.
        let most = if self.below(4) == 0 { bytes.len() } else { 16 };
        let length = 1 + self.below(most.min(bytes.len() - at));
        match self.below(10) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.rng.next_u32() as u8,
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes.truncate(at),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                let times = if self.below(8) == 0 { 1 + self.below(200) } else { 1 };
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copy.repeat(times));
            }
            5 | 6 => {
                let number = EDGES[self.below(EDGES.len())];
                let width = [1, 2, 4, 8][self.below(4)].min(bytes.len() - at);
                let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
                let written = if self.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
                bytes[at..at + width].copy_from_slice(written);
            }
            7 => {
                // A part of another file replaces a part of this one, or is inserted.
                let other = &corpus[self.below(corpus.len())];
                if !other.is_empty() {
                    let from = self.below(other.len());
                    let part = &other[from..from + 1 + self.below(other.len() - from)];
                    let end = if self.below(2) == 0 { at } else { at + length };
                    bytes.splice(at..end, part.iter().copied());
                }
            }
            8 => {
                // A number in digits, as in tar and netpbm.
                let digits = ["0", "7", "8", "9", "-1", "77777777777", "99999999999999999999", "4294967296"];
                let digits = digits[self.below(digits.len())].as_bytes();
                let end = (at + digits.len()).min(bytes.len());
                bytes.splice(at..end, digits.iter().copied());
            }
            _ => {
                let fresh: Vec<u8> = (0..length).map(|_| self.rng.next_u32() as u8).collect();
                bytes.splice(at..at, fresh);
            }
        }
    }
}

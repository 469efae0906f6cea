//! Memory that is used again. The kernel maps new memory page by page, and clears it; for the arrays of a batch, in every layer
//! of every step, that takes longer than the arithmetic.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Values whose memory is used again by another buffer of the same length after they are dropped.
///
/// A vector that [`ConvBlock`](crate::ConvBlock) has returned becomes one again by [`Buffer::from`].
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

static FREE: Mutex<FreeBuffers> = Mutex::new(FreeBuffers::new());

impl Buffer {
    /// A buffer of `len` values. They are unspecified: zeros, or those of an earlier buffer; NaN with debug assertions, so that
    /// tests notice code that reads a value before it writes it.
    pub fn new(len: usize) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).take(len);
        let mut values = free.unwrap_or_else(|| vec![0.0; len]);
        if cfg!(debug_assertions) {
            values.fill(f32::NAN);
        }
        Self(values)
    }

    /// The values as a vector, whose memory is not used again unless it becomes a buffer again.
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        Self(values)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // The memory of what is dropped goes back outside of the lock.
        let dropped = FREE.lock().unwrap_or_else(PoisonError::into_inner).give(values);
        drop(dropped);
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// Free buffers, those freed last at the end. A training has few lengths: those of its layers, for whole batches and for the last
/// one.
#[derive(Debug)]
struct FreeBuffers {
    /// With the time at which each was freed.
    buffers: VecDeque<(u64, Vec<f32>)>,
    /// Number of all their values.
    values: usize,
    /// Number of buffers that have been freed.
    time: u64,
    /// How many more buffers of a length have been taken than given back. No more are kept: a vector from elsewhere would take
    /// the place of none of them.
    taken: BTreeMap<usize, usize>,
}

impl FreeBuffers {
    /// Fewer values come from the allocator, which keeps such memory itself.
    const LEAST: usize = 1 << 12;

    /// Most values that are kept: 1 GiB.
    const MOST: usize = 1 << 28;

    /// A buffer that has not been taken again while so many were freed is of a length that is in use no more. A step of a deep
    /// network frees some hundreds.
    const TIME: u64 = 4096;

    const fn new() -> Self {
        Self { buffers: VecDeque::new(), values: 0, time: 0, taken: BTreeMap::new() }
    }

    /// The buffer of `len` values that was freed last, which is the likeliest to be in the cache.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        if len < Self::LEAST {
            return None;
        }
        *self.taken.entry(len).or_default() += 1;
        let at = self.buffers.iter().rposition(|(_, buffer)| buffer.len() == len)?;
        self.values -= len;
        self.buffers.remove(at).map(|(_, buffer)| buffer)
    }

    /// Keeps a buffer, and returns those that are kept no more.
    fn give(&mut self, buffer: Vec<f32>) -> Vec<Vec<f32>> {
        let mut dropped = Vec::new();
        match self.taken.get_mut(&buffer.len()) {
            Some(taken) if *taken > 0 => *taken -= 1,
            _ => return vec![buffer],
        }
        self.time += 1;
        self.values += buffer.len();
        self.buffers.push_back((self.time, buffer));
        while let Some((time, oldest)) = self.buffers.front()
            && (self.values > Self::MOST || time + Self::TIME < self.time)
        {
            self.values -= oldest.len();
            dropped.extend(self.buffers.pop_front().map(|(_, buffer)| buffer));
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = FreeBuffers::LEAST;

    #[test]
    fn memory_is_used_again() {
        let mut free = FreeBuffers::new();
        assert_eq!(free.take(LEN), None);
        assert_eq!(free.take(LEN), None);
        assert!(free.give(vec![1.0; LEN]).is_empty() && free.give(vec![2.0; LEN]).is_empty());
        assert_eq!(free.values, 2 * LEN);
        assert_eq!(free.take(LEN + 1), None);
        assert_eq!(free.take(LEN), Some(vec![2.0; LEN]));
        assert_eq!(free.take(LEN), Some(vec![1.0; LEN]));
        assert_eq!((free.take(LEN), free.values), (None, 0));
    }

    #[test]
    fn no_more_is_kept_than_was_taken() {
        let mut free = FreeBuffers::new();
        assert_eq!(free.give(vec![1.0; LEN]), [vec![1.0; LEN]]);
        free.take(LEN);
        assert!(free.give(vec![2.0; LEN]).is_empty());
        assert_eq!(free.give(vec![3.0; LEN]), [vec![3.0; LEN]]);
        // Small ones are the allocator's.
        free.take(LEN - 1);
        assert_eq!(free.give(vec![4.0; LEN - 1]).len(), 1);
        assert_eq!(free.values, LEN);
    }

    #[test]
    fn what_is_in_use_no_more_is_dropped() {
        let mut free = FreeBuffers::new();
        free.take(2 * LEN);
        free.give(vec![0.0; 2 * LEN]);
        let mut dropped = Vec::new();
        for _ in 0..FreeBuffers::TIME + 1 {
            let buffer = free.take(LEN).unwrap_or_else(|| vec![0.0; LEN]);
            dropped.extend(free.give(buffer));
        }
        assert_eq!(dropped, [vec![0.0; 2 * LEN]]);
        assert_eq!(free.values, LEN);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut free = FreeBuffers::new();
        // Memory that nobody writes is not there.
        let lens = [FreeBuffers::MOST / 2, FreeBuffers::MOST / 2 - 1, FreeBuffers::MOST / 4];
        lens.iter().for_each(|len| assert_eq!(free.take(*len), None));
        let dropped: Vec<usize> =
            lens.iter().flat_map(|len| free.give(vec![0.0; *len])).map(|buffer| buffer.len()).collect();
        assert_eq!(dropped, lens[..1]);
        assert_eq!(free.values, lens[1] + lens[2]);
    }
}

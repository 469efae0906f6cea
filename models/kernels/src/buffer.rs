//! Memory that is used again. The maps of a batch are the largest arrays of a step: allocating and zeroing them each time, on
//! one thread, would take a tenth of it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Values whose memory is used again by another buffer of the same length after they are dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

/// Free buffers by length. A run has few lengths: those of its layers, for whole batches and for the last one.
static FREE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Most free values that are kept, in all: 256 MiB.
const MAX_FREE: usize = 1 << 26;

impl Buffer {
    /// A buffer of `len` values. They are unspecified: zeros, or those of an earlier buffer; NaN with debug assertions, so that
    /// tests notice code that reads a value before it writes it.
    pub fn new(len: usize) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&len).and_then(Vec::pop);
        let mut values = free.unwrap_or_else(|| vec![0.0; len]);
        if cfg!(debug_assertions) {
            values.fill(f32::NAN);
        }
        Self(values)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(|(len, buffers)| len * buffers.len()).sum();
        if kept + self.0.len() <= MAX_FREE {
            free.entry(self.0.len()).or_default().push(std::mem::take(&mut self.0));
        }
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

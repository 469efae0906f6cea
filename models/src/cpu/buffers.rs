//! Buffers that outlive a step: the maps of a batch are the largest things a step makes, and making them anew each time costs
//! zeroing them, on one thread.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Values with anything in them, whose memory is used again after they are dropped.
#[derive(Debug)]
pub(super) struct Buffer(Vec<f32>);

/// Free buffers by their length. A run has few lengths: those of its layers, for whole batches and for the last one.
static FREE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Free values that are kept, in all: 256 MiB.
const KEPT: usize = 1 << 26;

impl Buffer {
    pub fn new(len: usize) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&len).and_then(Vec::pop);
        Self(free.unwrap_or_else(|| vec![0.0; len]))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(|(len, buffers)| len * buffers.len()).sum();
        if kept + self.0.len() <= KEPT {
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

//! Memory for the maps of a batch and their gradients, the largest things that a step makes: zeroing them all, on one thread, would
//! take a tenth of the step. Buffers are used again; what becomes a tensor is not zeroed.

use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, MaybeUninit};
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

/// Memory for values that are all to be written.
pub(super) fn unwritten(len: usize) -> Vec<MaybeUninit<f32>> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: there is room for so many, and uninitialised memory is what they may be.
    unsafe { values.set_len(len) };
    values
}

/// The same memory as values, for code that writes all of them and reads none before.
///
/// # Safety
/// The code does so.
pub(super) unsafe fn for_writing(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    // SAFETY: the same layout; any bits are floats, and none are read before they are written.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [f32]) }
}

/// The values, once they are written.
///
/// # Safety
/// All of them have been.
pub(super) unsafe fn written(values: Vec<MaybeUninit<f32>>) -> Vec<f32> {
    let mut values = ManuallyDrop::new(values);
    // SAFETY: the same layout, and every value is initialised.
    unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast(), values.len(), values.capacity()) }
}

/// Parts of `len` values of what may not be there: as many as `count`, or as many nothings.
pub(super) fn parts<T>(values: Option<&mut [T]>, len: usize, count: usize) -> Vec<Option<&mut [T]>> {
    match values {
        Some(values) => values.chunks_mut(len).map(Some).collect(),
        None => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

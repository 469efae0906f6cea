//! Memory that kernels write, initialised or not.

use std::mem::MaybeUninit;

/// Values that a kernel writes and never reads.
///
/// Nothing but initialised values is written through it, so it can stand for memory that is initialised and has to stay so.
pub(crate) struct Destination<'a>(&'a mut [MaybeUninit<f32>]);

impl<'a> From<&'a mut [MaybeUninit<f32>]> for Destination<'a> {
    fn from(values: &'a mut [MaybeUninit<f32>]) -> Self {
        Self(values)
    }
}

impl<'a> From<&'a mut [f32]> for Destination<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        // SAFETY: `MaybeUninit<f32>` has the layout of f32, and no uninitialised value is ever written through `Self`.
        Self(unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) })
    }
}

impl<'a> From<&'a mut Vec<f32>> for Destination<'a> {
    fn from(values: &'a mut Vec<f32>) -> Self {
        values.as_mut_slice().into()
    }
}

impl Destination<'_> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first value. Only initialised values may be written through the pointer, and none read that has not been written.
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }

    /// Writes the first `len` values of each row of `wide` values, one after the other.
    pub fn write_starts(&mut self, len: usize, rows: &[f32], wide: usize) {
        for (to, from) in self.0.chunks_exact_mut(len).zip(rows.chunks_exact(wide)) {
            for (to, from) in to.iter_mut().zip(from) {
                to.write(*from);
            }
        }
    }
}

/// A vector whose values are still to be written. Zeroing all maps of a batch, on one thread, would take a tenth of a step.
pub(crate) struct Unwritten(Vec<f32>);

impl Unwritten {
    pub fn new(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    /// The first `len` values.
    ///
    /// # Panics
    ///
    /// If there is no room for so many.
    pub fn values(&mut self, len: usize) -> &mut [MaybeUninit<f32>] {
        &mut self.0.spare_capacity_mut()[..len]
    }

    /// The vector of the first `len` values.
    ///
    /// # Safety
    ///
    /// There is room for so many, and all of them have been written.
    pub unsafe fn written(self, len: usize) -> Vec<f32> {
        let mut values = self.0;
        // SAFETY: as the caller promises.
        unsafe { values.set_len(len) };
        values
    }
}

/// Chunks of `len` values each, or `count` times `None` where there are no values.
pub(crate) fn optional_chunks<T>(values: Option<&mut [T]>, len: usize, count: usize) -> Vec<Option<&mut [T]>> {
    match values {
        Some(values) => values.chunks_mut(len).map(Some).collect(),
        None => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

//! Memory that starts on a cache line: a vector that crosses from one line to the next takes twice as long to load.

use std::ops::{Deref, DerefMut};

use faer::Col;

/// Numbers on the heap.
#[derive(Clone)]
pub(crate) struct Aligned(Col<f32>);

impl Aligned {
    /// `count` zeros.
    pub fn zeros(count: usize) -> Self {
        Self(Col::zeros(count))
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.try_as_col_major().expect("the entries of a column are contiguous").as_slice()
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.0.try_as_col_major_mut().expect("the entries of a column are contiguous").as_slice_mut()
    }
}

/// Numbers on the stack.
#[repr(align(64))]
pub(crate) struct AlignedArray<const N: usize>(pub [f32; N]);

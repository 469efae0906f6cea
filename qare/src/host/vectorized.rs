//! Code compiled for the widest vectors that the machine at hand has, and memory for it.

use std::ops::{Deref, DerefMut};

use faer::Col;

/// Calls `f`, whose code is compiled once for each kind of machine. It has to be inlined here: `#[inline(always)] || …`.
#[inline(always)]
pub(super) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Calls a check, which is generic over the vectors it is given first, with those of every length there are.
#[cfg(test)]
macro_rules! in_all_widths {
    ($check:ident($($argument:expr),*)) => {{
        $check(pulp::Scalar::new(), $($argument),*);
        $check(pulp::Scalar128b, $($argument),*);
        $check(pulp::Scalar256b, $($argument),*);
        $check(pulp::Scalar512b, $($argument),*);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            $check(simd, $($argument),*);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            $check(simd, $($argument),*);
        }
    }};
}
#[cfg(test)]
pub(super) use in_all_widths;

/// Numbers that start where a line of the cache does: a vector that crosses from one line to the next takes twice as long
/// to load.
pub(super) struct Aligned(Col<f32>);

impl Aligned {
    /// That many zeros.
    pub fn zeros(count: usize) -> Self {
        Self(Col::zeros(count))
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.try_as_col_major().expect("a column's entries lie one after the other").as_slice()
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.0.try_as_col_major_mut().expect("a column's entries lie one after the other").as_slice_mut()
    }
}

/// The same on the stack.
#[repr(align(64))]
pub(super) struct AlignedArray<const N: usize>(pub [f32; N]);

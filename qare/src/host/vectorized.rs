//! Code compiled for the widest vectors that the machine at hand has.

use pulp::{Simd, WithSimd};

/// Calls `f`, whose code is compiled once for each kind of machine. It has to be inlined here: `#[inline(always)] || …`.
#[inline(always)]
pub(super) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Call<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Call(f))
}

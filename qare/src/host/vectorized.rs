//! Code compiled for the widest vectors that the machine at hand has.

/// Calls `f`, whose code is compiled once for each kind of machine. It has to be inlined here: `#[inline(always)] || …`.
#[inline(always)]
pub(super) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

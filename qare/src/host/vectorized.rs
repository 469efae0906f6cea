//! Code compiled for the widest vectors of the processor at hand.

/// Calls `f`, which is compiled once for each kind of processor. The closure has to be inlined here: `#[inline(always)] || …`.
#[inline(always)]
pub(super) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

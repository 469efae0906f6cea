//! Vectors of the processor at hand, through pulp.

use pulp::{Simd, WithSimd};

/// Runs `op` with the widest vectors of this processor that divide `channels`.
///
/// With 16 channels or a multiple of them that is AVX-512 or AVX2 on x86, NEON on ARM; in the worst case one value at a time.
#[inline]
pub(super) fn vectorize<Op: WithSimd>(channels: usize, op: Op) -> Op::Output {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if channels.is_multiple_of(16)
            && let Some(simd) = pulp::x86::V4::try_new()
        {
            return Simd::vectorize(simd, op);
        }
        if channels.is_multiple_of(8)
            && let Some(simd) = pulp::x86::V3::try_new()
        {
            return Simd::vectorize(simd, op);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if channels.is_multiple_of(4)
        && let Some(simd) = pulp::aarch64::Neon::try_new()
    {
        return Simd::vectorize(simd, op);
    }
    Simd::vectorize(pulp::Scalar, op)
}

/// Reads a vector.
///
/// # Safety
/// There are as many values from `from` on as a vector has lanes.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: as the caller promises; any bits are floats.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Writes a vector.
///
/// # Safety
/// There is room for as many values from `to` on as a vector has lanes.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: as the caller promises.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

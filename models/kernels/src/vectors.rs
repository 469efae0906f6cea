//! The vectors of the processor at hand, through pulp.

use pulp::{Simd, WithSimd};

/// Values of a line of the cache.
pub(crate) const LINE: usize = 16;

/// Runs `op` with the widest vectors of this processor whose lanes divide `channels`: AVX-512 (16) or AVX2 (8) on x86, NEON (4)
/// on ARM, or single values.
#[inline]
pub(crate) fn vectorize<Op: WithSimd>(channels: usize, op: Op) -> Op::Output {
    #[cfg(test)]
    let channels = if channels.is_multiple_of(MOST_LANES.get()) { MOST_LANES.get() } else { channels };
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

/// Whether [`vectorize`] has vectors of 16 lanes for channels that they divide.
pub(crate) fn has_sixteen_lanes() -> bool {
    #[cfg(test)]
    if MOST_LANES.get() < 16 {
        return false;
    }
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return pulp::x86::V4::try_new().is_some();
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    false
}

#[cfg(test)]
thread_local! {
    /// Lanes of the widest vectors that a test wants, of those that divide the channels.
    pub(crate) static MOST_LANES: std::cell::Cell<usize> = const { std::cell::Cell::new(16) };
}

/// An operation that computes tiles of rows × vectors of channels, which stay in registers.
pub(crate) trait Tiles: Sized {
    /// Computes everything in tiles of up to ROWS rows × N vectors.
    fn tiles<S: Simd, const ROWS: usize, const N: usize>(self, simd: S);

    /// Chooses tiles that fit into the registers for panels of so many channels, of which the lanes of a vector are a divisor. ROWS is 4 or 8.
    #[inline(always)]
    fn in_registers<S: Simd>(self, simd: S, channels: usize) {
        let blocks = channels / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        match (many_registers, blocks) {
            (true, blocks) if S::F32_LANES == 4 && blocks.is_multiple_of(4) => self.tiles::<S, 4, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, 8, 2>(simd),
            (false, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, 4, 2>(simd),
            _ => self.tiles::<S, 8, 1>(simd),
        }
    }
}

/// Reads a vector.
///
/// # Safety
///
/// `S::F32_LANES` initialised values can be read from `from` on.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: as the caller promises; a vector has no padding and no invalid bits, and need not be aligned here.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Writes a vector.
///
/// # Safety
///
/// `S::F32_LANES` values can be written from `to` on.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: as the caller promises; a vector has no padding and need not be aligned here.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

/// Asks the processor to bring a line of memory into its cache. The address may be any. Does nothing except on x86-64.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that the program sees, and faults at no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

//! Copies between host and device, and fills. They are done at once.

use std::ffi::{c_int, c_uchar, c_void};

use crate::journal::{Event, record};
use crate::memory::{check_range, is_pinned};
use crate::refuse;
use crate::settings::{Reads, settings};
use crate::status::{INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Status};

/// An f32 from 0.5 to 1 for the place of a number in a copy.
fn number(place: usize) -> f32 {
    // The fractional parts of multiples of the golden ratio are spread evenly.
    let part = (place as u32).wrapping_mul(0x9E37_79B9);
    f32::from_bits(0x3F00_0000 | part >> 9)
}

/// Copies from host to device.
///
/// # Safety
/// `from` is valid for reads of so many bytes.
unsafe fn upload(call: &'static str, to: u64, from: *const c_void, bytes: usize) -> Status {
    if let Err(status) = check_range(call, to, bytes) {
        return status;
    }
    // SAFETY: the block has the bytes, and the caller vouches for the host's side.
    unsafe { std::ptr::copy(from.cast::<u8>(), to as *mut u8, bytes) };
    record(Event::Upload { bytes, pinned: is_pinned(from as u64) });
    SUCCESS
}

/// Copies from device to host.
///
/// # Safety
/// `to` is valid for writes of so many bytes.
unsafe fn read(call: &'static str, to: *mut c_void, from: u64, bytes: usize) -> Status {
    if let Err(status) = check_range(call, from, bytes) {
        return status;
    }
    // SAFETY: the block has the bytes, and the caller vouches for the host's side.
    unsafe { read_row(to.cast(), from as *const u8, bytes) };
    record(Event::Read(bytes));
    SUCCESS
}

/// Copies contiguous bytes to the host, or what the settings ask for.
///
/// # Safety
/// Both pointers are valid for so many bytes.
unsafe fn read_row(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the contract is the caller's.
    unsafe {
        match settings().map_or(Reads::Memory, |settings| settings.reads) {
            Reads::Memory => std::ptr::copy(from, to, bytes),
            Reads::Zeros => std::ptr::write_bytes(to, 0, bytes),
            Reads::Numbers => {
                std::ptr::write_bytes(to, 0, bytes);
                for place in 0..bytes / 4 {
                    std::ptr::write_unaligned(to.add(4 * place).cast(), number(place));
                }
            }
        }
    }
}

/// Copies from host to device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { upload("cuMemcpyHtoD_v2", to, from, bytes) }
}

/// Copies from host to device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    _stream: *mut c_void,
) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { upload("cuMemcpyHtoDAsync_v2", to, from, bytes) }
}

/// Copies from device to host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { read("cuMemcpyDtoH_v2", to, from, bytes) }
}

/// Copies from device to host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    _stream: *mut c_void,
) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { read("cuMemcpyDtoHAsync_v2", to, from, bytes) }
}

/// Copies within the device.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, _stream: *mut c_void) -> Status {
    let call = "cuMemcpyDtoDAsync_v2";
    if let Err(status) = check_range(call, from, bytes).and_then(|()| check_range(call, to, bytes)) {
        return status;
    }
    // SAFETY: both blocks have the bytes.
    unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
    record(Event::DeviceCopy(bytes));
    SUCCESS
}

/// Fills device memory with a byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, value: c_uchar, bytes: usize, _stream: *mut c_void) -> Status {
    if let Err(status) = check_range("cuMemsetD8Async", to, bytes) {
        return status;
    }
    // SAFETY: the block has the bytes.
    unsafe { std::ptr::write_bytes(to as *mut u8, value, bytes) };
    record(Event::Fill(bytes));
    SUCCESS
}

/// A copy of rows, `CUDA_MEMCPY2D`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Rows {
    /// Where the copy takes its rows from.
    pub from: Side,
    /// Where they go. In C the two sides are one flat list of fields.
    pub to: Side,
    /// Bytes of a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// A side of a copy of rows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Side {
    /// First byte within the rows.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// 1: host, 2: device. Arrays and unified memory are not supported.
    pub kind: c_int,
    /// The rows, on the host.
    pub host: *mut c_void,
    /// The rows, on the device.
    pub device: u64,
    /// An array.
    pub array: *mut c_void,
    /// Bytes from a row to the next one; 0 for rows without gaps.
    pub pitch: usize,
}

impl Side {
    /// The address of the first byte, and the bytes from a row to the next one. Checks the range on the device.
    fn place(&self, call: &'static str, width: usize, height: usize) -> Result<(u64, usize), Status> {
        let pitch = if self.pitch == 0 { width } else { self.pitch };
        if self.x + width > pitch {
            let reason = format!("rows of {width} bytes from byte {} on, {pitch} bytes apart", self.x);
            return Err(refuse(call, INVALID_VALUE, reason));
        }
        let offset = (self.y * pitch + self.x) as u64;
        match self.kind {
            1 => Ok((self.host as u64 + offset, pitch)),
            2 => {
                check_range(call, self.device + offset, pitch * height.saturating_sub(1) + width)?;
                Ok((self.device + offset, pitch))
            }
            kind => Err(refuse(call, NOT_SUPPORTED, format!("memory of kind {kind}: only host and device are known"))),
        }
    }
}

/// Copies rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DAsync_v2(rows: *const Rows, _stream: *mut c_void) -> Status {
    let call = "cuMemcpy2DAsync_v2";
    // SAFETY: the caller passes a valid description or null.
    let Some(Rows { from, to, width, height }) = (unsafe { rows.as_ref() }).copied() else {
        return refuse(call, INVALID_VALUE, "no description");
    };
    if width == 0 || height == 0 {
        return SUCCESS;
    }
    let places = from.place(call, width, height).and_then(|source| Ok((source, to.place(call, width, height)?)));
    let ((source, source_pitch), (target, target_pitch)) = match places {
        Ok(places) => places,
        Err(status) => return status,
    };
    for row in 0..height {
        let source = (source as usize + row * source_pitch) as *const u8;
        let target = (target as usize + row * target_pitch) as *mut u8;
        // SAFETY: the ranges on the device are checked, and the caller vouches for those on the host.
        unsafe {
            match to.kind {
                1 => read_row(target, source, width),
                _ => std::ptr::copy(source, target, width),
            }
        }
    }
    record(match (from.kind, to.kind) {
        (1, _) => Event::Upload { bytes: width * height, pinned: is_pinned(source) },
        (_, 1) => Event::Read(width * height),
        _ => Event::DeviceCopy(width * height),
    });
    SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_lie_between_half_and_one() {
        let numbers: Vec<f32> = (0..4096).map(number).collect();
        assert!(numbers.iter().all(|number| (0.5..1.0).contains(number)));
        let mut sorted = numbers.clone();
        sorted.sort_by(f32::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), numbers.len());
    }
}

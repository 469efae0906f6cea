//! Tensor maps, with the checks that the driver makes when it encodes one.

use std::ffi::{c_int, c_uint, c_void};

use crate::journal::{Event, record};
use crate::memory::check_range;
use crate::refuse;
use crate::status::{INVALID_VALUE, SUCCESS, Status};

/// An encoded tensor map. Its content is private to a driver; this one leaves it zero.
pub type TensorMap = [u64; 16];

/// What the two kinds of tensor map have in common.
#[derive(Default)]
struct Layout<'a> {
    element: c_uint,
    address: u64,
    dimensions: &'a [u64],
    /// Bytes, from the second dimension on.
    strides: &'a [u64],
    element_strides: &'a [u32],
    interleave: c_uint,
    swizzle: c_uint,
    promotion: c_uint,
    fill: c_uint,
}

/// Returns an error with a reason unless a condition holds.
macro_rules! expect {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(format!($($reason)+));
        }
    };
}

/// Bytes of an element of a type, `CUtensorMapDataType`.
fn element_bytes(element: c_uint) -> Option<u64> {
    Some(match element {
        0 => 1,
        1 | 6 | 9 => 2,
        2 | 3 | 7 | 10..=12 => 4,
        4 | 5 | 8 => 8,
        _ => return None,
    })
}

/// Whether a type can be filled with NaN.
fn is_float(element: c_uint) -> bool {
    (6..=12).contains(&element)
}

impl<'a> Layout<'a> {
    /// Reads the arrays of a call into the layout.
    ///
    /// # Safety
    /// The pointers are valid for as many elements as the rank says: strides for one fewer.
    unsafe fn with_arrays(
        self,
        rank: c_uint,
        dimensions: *const u64,
        strides: *const u64,
        element_strides: *const u32,
    ) -> Result<Self, String> {
        let rank = rank as usize;
        expect!((1..=5).contains(&rank), "rank {rank}, expected 1 to 5");
        expect!(!dimensions.is_null() && !element_strides.is_null(), "no dimensions or element strides");
        expect!(rank == 1 || !strides.is_null(), "no strides");
        // SAFETY: the contract is the caller's; the pointers are not null, except the strides of rank 1.
        unsafe {
            let strides = match rank {
                1 => &[][..],
                _ => std::slice::from_raw_parts(strides, rank - 1),
            };
            let dimensions = std::slice::from_raw_parts(dimensions, rank);
            Ok(Self { dimensions, strides, element_strides: std::slice::from_raw_parts(element_strides, rank), ..self })
        }
    }

    /// Checks everything but the box. Returns the bytes of an element.
    fn check(&self) -> Result<u64, String> {
        let bytes = element_bytes(self.element).ok_or(format!("element type {} is unknown here", self.element))?;
        let aligned = if self.interleave == 2 { 32 } else { 16 };
        expect!(self.interleave <= 2 && self.swizzle <= 6, "interleave {}, swizzle {}", self.interleave, self.swizzle);
        expect!(self.promotion <= 3 && self.fill <= 1, "promotion {}, fill {}", self.promotion, self.fill);
        expect!(self.address.is_multiple_of(aligned), "address {:#x}, expected a multiple of {aligned}", self.address);
        expect!(self.interleave == 0 || self.dimensions.len() >= 3, "interleaved, expected a rank of at least 3");
        expect!(self.interleave != 2 || self.swizzle == 1, "interleaved by 32 bytes, expected a swizzle of 32 bytes");
        expect!(self.fill == 0 || is_float(self.element), "a fill of NaN for integers");
        for (at, size) in self.dimensions.iter().enumerate() {
            expect!((1..=1 << 32).contains(size), "dimension {at} is {size}, expected 1 to 2^32");
        }
        for (at, stride) in self.strides.iter().enumerate() {
            expect!(stride.is_multiple_of(aligned), "stride {at} is {stride} bytes, expected a multiple of {aligned}");
            expect!(*stride < 1 << 40, "stride {at} is {stride} bytes, expected less than 2^40");
        }
        for (at, stride) in self.element_strides.iter().enumerate() {
            expect!((1..=8).contains(stride), "element stride {at} is {stride}, expected 1 to 8");
        }
        Ok(bytes)
    }

    /// Checks the innermost size of a box in bytes.
    fn check_inner(&self, inner: u64) -> Result<(), String> {
        if self.interleave != 0 {
            return Ok(());
        }
        let most = match self.swizzle {
            0 => u64::MAX,
            1 => 32,
            2 => 64,
            _ => 128,
        };
        expect!(inner.is_multiple_of(16), "rows of a box have {inner} bytes, expected a multiple of 16");
        expect!(inner <= most, "rows of a box have {inner} bytes, the swizzle allows {most}");
        Ok(())
    }

    /// Checks that the address is device memory. Rows beyond its end are the program's matter.
    fn check_address(&self, call: &'static str) -> Result<(), Status> {
        check_range(call, self.address, 1)
    }
}

/// Writes a map, or records why it is refused.
///
/// # Safety
/// `map` is null or valid for a write.
unsafe fn encode(
    call: &'static str,
    mode: &'static str,
    map: *mut TensorMap,
    layout: Result<Layout<'_>, String>,
    check: impl FnOnce(&Layout<'_>, u64) -> Result<(), String>,
) -> Status {
    let layout = match layout {
        Ok(layout) => layout,
        Err(problem) => return refuse(call, INVALID_VALUE, problem),
    };
    let checked = layout.check().and_then(|bytes| check(&layout, bytes));
    if let Err(problem) = checked {
        let (dimensions, strides) = (layout.dimensions, layout.strides);
        return refuse(call, INVALID_VALUE, format!("{problem} (dimensions {dimensions:?}, strides {strides:?})"));
    }
    if let Err(status) = layout.check_address(call) {
        return status;
    }
    if map.is_null() || !(map as usize).is_multiple_of(64) {
        return refuse(call, INVALID_VALUE, "no place for the map that is aligned to 64 bytes");
    }
    // SAFETY: the pointer is not null and aligned, and the caller vouches for it.
    unsafe { map.write(TensorMap::default()) };
    record(Event::TensorMap(mode));
    SUCCESS
}

/// Encodes a map for boxes of a tensor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuTensorMapEncodeTiled(
    map: *mut TensorMap,
    element: c_uint,
    rank: c_uint,
    address: *mut c_void,
    dimensions: *const u64,
    strides: *const u64,
    box_sizes: *const u32,
    element_strides: *const u32,
    interleave: c_uint,
    swizzle: c_uint,
    promotion: c_uint,
    fill: c_uint,
) -> Status {
    let address = address as u64;
    let layout = Layout { element, address, interleave, swizzle, promotion, fill, ..Layout::default() };
    // SAFETY: the contract is the caller's.
    let layout = unsafe { layout.with_arrays(rank, dimensions, strides, element_strides) };
    let check = |layout: &Layout<'_>, bytes: u64| {
        expect!(!box_sizes.is_null(), "no box");
        // SAFETY: the caller passes as many sizes as dimensions.
        let sizes = unsafe { std::slice::from_raw_parts(box_sizes, layout.dimensions.len()) };
        for (at, size) in sizes.iter().enumerate() {
            expect!((1..=256).contains(size), "a box has {size} elements in dimension {at}, expected 1 to 256");
        }
        layout.check_inner(u64::from(sizes[0]) * bytes)
    };
    // SAFETY: the contract is the caller's.
    unsafe { encode("cuTensorMapEncodeTiled", "tiled", map, layout, check) }
}

/// Encodes a map for the columns of an image to column transform.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuTensorMapEncodeIm2col(
    map: *mut TensorMap,
    element: c_uint,
    rank: c_uint,
    address: *mut c_void,
    dimensions: *const u64,
    strides: *const u64,
    lower_corner: *const c_int,
    upper_corner: *const c_int,
    channels: c_uint,
    pixels: c_uint,
    element_strides: *const u32,
    interleave: c_uint,
    swizzle: c_uint,
    promotion: c_uint,
    fill: c_uint,
) -> Status {
    let address = address as u64;
    let layout = Layout { element, address, interleave, swizzle, promotion, fill, ..Layout::default() };
    // SAFETY: the contract is the caller's.
    let layout = unsafe { layout.with_arrays(rank, dimensions, strides, element_strides) };
    let check = |layout: &Layout<'_>, bytes: u64| {
        let rank = layout.dimensions.len();
        expect!(rank >= 3, "rank {rank}, expected 3 to 5");
        expect!(!lower_corner.is_null() && !upper_corner.is_null(), "no corners");
        let most = [0x8000, 0x80, 0x10][rank - 3];
        // SAFETY: the caller passes a corner for each spatial dimension, all but channels and images.
        let corners =
            unsafe { [lower_corner, upper_corner].map(|corner| std::slice::from_raw_parts(corner, rank - 2)) };
        for corner in corners.into_iter().flatten() {
            expect!((-most..most).contains(corner), "a corner at {corner}, expected {} to {}", -most, most - 1);
        }
        expect!((1..=256).contains(&channels), "{channels} channels of a pixel, expected 1 to 256");
        expect!((1..=1024).contains(&pixels), "{pixels} pixels of a column, expected 1 to 1024");
        layout.check_inner(u64::from(channels) * bytes)
    };
    // SAFETY: the contract is the caller's.
    unsafe { encode("cuTensorMapEncodeIm2col", "im2col", map, layout, check) }
}

/// Encodes nothing: maps of this kind exist from compute capability 10.0 on, and no program of ours asks for one on 9.0.
#[unsafe(no_mangle)]
pub extern "C" fn cuTensorMapEncodeIm2colWide() -> Status {
    refuse("cuTensorMapEncodeIm2colWide", crate::status::NOT_SUPPORTED, "maps of this kind are not checked here")
}

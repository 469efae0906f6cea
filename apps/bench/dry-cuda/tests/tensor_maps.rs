//! Tensor maps: what the driver accepts and what it refuses.
#![cfg(target_os = "linux")]

use std::ffi::c_void;
use std::ptr::null_mut;

use dry_cuda::device::cuInit;
use dry_cuda::memory::cuMemAlloc_v2;
use dry_cuda::status::{INVALID_VALUE, SUCCESS, Status};
use dry_cuda::tensor_maps::{TensorMap, cuTensorMapEncodeIm2col, cuTensorMapEncodeTiled};
use dry_cuda::totals;

/// A map with the alignment that the driver asks for.
#[repr(align(64))]
struct Map(TensorMap);

/// The arguments of a map. Types are 7: f32, 6: f16, 2: u32.
#[derive(Clone)]
struct Layout {
    element: u32,
    offset: u64,
    dimensions: Vec<u64>,
    strides: Vec<u64>,
    element_strides: Vec<u32>,
    interleave: u32,
    swizzle: u32,
    fill: u32,
}

fn memory() -> u64 {
    let mut address = 0;
    assert_eq!(cuInit(0), SUCCESS);
    // SAFETY: the pointer is valid.
    assert_eq!(unsafe { cuMemAlloc_v2(&mut address, 1 << 20) }, SUCCESS);
    address
}

/// A matrix of 64 rows of 128 numbers.
fn matrix() -> Layout {
    Layout {
        element: 7,
        offset: 0,
        dimensions: vec![128, 64],
        strides: vec![512],
        element_strides: vec![1, 1],
        interleave: 0,
        swizzle: 0,
        fill: 0,
    }
}

fn tiled(layout: &Layout, sizes: &[u32]) -> Status {
    let mut map = Map([0; 16]);
    let Layout { element, offset, dimensions, strides, element_strides, interleave, swizzle, fill } = layout;
    assert_eq!(sizes.len(), dimensions.len());
    // SAFETY: the arrays have the rank's length.
    unsafe {
        cuTensorMapEncodeTiled(
            &mut map.0,
            *element,
            dimensions.len() as u32,
            (memory() + offset) as *mut c_void,
            dimensions.as_ptr(),
            strides.as_ptr(),
            sizes.as_ptr(),
            element_strides.as_ptr(),
            *interleave,
            *swizzle,
            0,
            *fill,
        )
    }
}

#[test]
fn tiles_have_the_limits_of_the_driver() {
    let half = |layout: Layout| Layout { element: 6, ..layout };
    for (layout, sizes) in [
        (matrix(), [64, 64]),
        (matrix(), [256, 256]),
        (Layout { swizzle: 3, ..matrix() }, [32, 64]),
        (Layout { swizzle: 3, ..half(matrix()) }, [64, 64]),
        (Layout { swizzle: 1, ..half(matrix()) }, [16, 8]),
        (Layout { fill: 1, ..matrix() }, [64, 64]),
        (Layout { offset: 16, ..matrix() }, [64, 64]),
    ] {
        assert_eq!(tiled(&layout, &sizes), SUCCESS);
    }
    for (why, layout, sizes) in [
        ("address", Layout { offset: 8, ..matrix() }, [64, 64]),
        ("stride", Layout { strides: vec![520], ..matrix() }, [64, 64]),
        ("stride too large", Layout { strides: vec![1 << 40], ..matrix() }, [64, 64]),
        ("dimension", Layout { dimensions: vec![128, 0], ..matrix() }, [64, 64]),
        ("dimension too large", Layout { dimensions: vec![128, (1 << 32) + 1], ..matrix() }, [64, 64]),
        ("element stride", Layout { element_strides: vec![1, 9], ..matrix() }, [64, 64]),
        ("element stride 0", Layout { element_strides: vec![1, 0], ..matrix() }, [64, 64]),
        ("box", matrix(), [64, 257]),
        ("empty box", matrix(), [64, 0]),
        ("rows of 8 bytes", matrix(), [2, 64]),
        ("swizzle", Layout { swizzle: 3, ..matrix() }, [64, 64]),
        ("swizzle of 32", Layout { swizzle: 1, ..matrix() }, [16, 64]),
        ("interleaved matrix", Layout { interleave: 1, ..matrix() }, [64, 64]),
        ("NaN in integers", Layout { element: 2, fill: 1, ..matrix() }, [64, 64]),
        ("type", Layout { element: 99, ..matrix() }, [64, 64]),
    ] {
        assert_eq!(tiled(&layout, &sizes), INVALID_VALUE, "{why}");
    }
    assert!(
        totals()
            .section("failures")
            .any(|(reason, _)| reason.contains("stride 0 is 520 bytes, expected a multiple of 16"))
    );
}

/// Images of 16 channels: channels, width, height, images.
fn images() -> Layout {
    Layout {
        dimensions: vec![16, 32, 32, 8],
        strides: vec![64, 64 * 32, 64 * 32 * 32],
        element_strides: vec![1; 4],
        ..matrix()
    }
}

fn im2col(layout: &Layout, corners: [i32; 2], channels: u32, pixels: u32) -> Status {
    let mut map = Map([0; 16]);
    let Layout { element, offset, dimensions, strides, element_strides, interleave, swizzle, fill } = layout;
    let [lower, upper] = corners.map(|corner| vec![corner; dimensions.len().max(2) - 2]);
    // SAFETY: the arrays have the lengths of the rank.
    unsafe {
        cuTensorMapEncodeIm2col(
            &mut map.0,
            *element,
            dimensions.len() as u32,
            (memory() + offset) as *mut c_void,
            dimensions.as_ptr(),
            strides.as_ptr(),
            lower.as_ptr(),
            upper.as_ptr(),
            channels,
            pixels,
            element_strides.as_ptr(),
            *interleave,
            *swizzle,
            0,
            *fill,
        )
    }
}

#[test]
fn columns_have_the_limits_of_the_driver() {
    assert_eq!(im2col(&images(), [-1, -1], 16, 128), SUCCESS);
    assert_eq!(im2col(&images(), [-128, 127], 256, 1024), SUCCESS);
    assert_eq!(im2col(&Layout { interleave: 2, swizzle: 1, ..images() }, [-1, -1], 8, 128), SUCCESS);
    for (why, layout, corners, channels, pixels) in [
        ("matrix", matrix(), [0, 0], 16, 128),
        ("lower corner", images(), [-129, 0], 16, 128),
        ("upper corner", images(), [0, 128], 16, 128),
        ("channels", images(), [0, 0], 257, 128),
        ("no channels", images(), [0, 0], 0, 128),
        ("pixels", images(), [0, 0], 16, 1025),
        ("rows of 12 bytes", images(), [0, 0], 3, 128),
        ("swizzle of 64", Layout { swizzle: 2, ..images() }, [0, 0], 32, 128),
        ("interleaved without its swizzle", Layout { interleave: 2, ..images() }, [-1, -1], 8, 128),
        ("address", Layout { interleave: 2, swizzle: 1, offset: 16, ..images() }, [-1, -1], 8, 128),
    ] {
        assert_eq!(im2col(&layout, corners, channels, pixels), INVALID_VALUE, "{why}");
    }
}

#[test]
fn a_map_needs_a_place_and_memory() {
    let layout = matrix();
    let encode = |map: *mut TensorMap, address: u64| {
        // SAFETY: the arrays have the rank's length.
        unsafe {
            let (sizes, ones) = ([64, 64], [1, 1]);
            let (dimensions, strides) = (layout.dimensions.as_ptr(), layout.strides.as_ptr());
            let address = address as *mut c_void;
            cuTensorMapEncodeTiled(map, 7, 2, address, dimensions, strides, sizes.as_ptr(), ones.as_ptr(), 0, 0, 0, 0)
        }
    };
    let mut map = Map([1; 16]);
    assert_eq!(encode(&mut map.0, memory()), SUCCESS);
    assert_eq!(encode(null_mut(), memory()), INVALID_VALUE);
    assert_eq!(encode(&mut map.0, 1 << 12), INVALID_VALUE);
}

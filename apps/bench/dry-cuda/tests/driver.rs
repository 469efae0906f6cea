//! The driver through its exported functions, as a program calls them.
#![cfg(target_os = "linux")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dry_cuda::copies::{
    Rows, Side, cuMemcpy2DAsync_v2, cuMemcpyDtoDAsync_v2, cuMemcpyDtoHAsync_v2, cuMemcpyHtoDAsync_v2, cuMemsetD8Async,
};
use dry_cuda::device::*;
use dry_cuda::launches::cuLaunchKernel;
use dry_cuda::memory::*;
use dry_cuda::modules::*;
use dry_cuda::status::*;
use dry_cuda::streams::*;
use dry_cuda::summary::Summary;
use dry_cuda::totals;

const PTX: &CStr = c"
.version 9.0
.target sm_90a
.visible .entry bounded(.param .u64 p) .maxntid 64, 1, 1 { ret; }
.visible .entry clustered(.param .u64 p) .explicitcluster .reqnctapercluster 2, 1, 1 { ret; }
.visible .entry free(.param .u64 p) { ret; }
";

/// One test at a time, since counts are of the process, with the driver initialised. Reads give what the memory holds.
fn start() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: all tests that read or set the environment have the turn, and the driver reads it in `cuInit` at the latest.
    unsafe { std::env::set_var("DRY_CUDA_READS", "memory") };
    assert_eq!(cuInit(0), SUCCESS);
    turn
}

/// What a call adds to the totals.
fn added(call: impl FnOnce()) -> Summary {
    let before = totals();
    call();
    totals().since(&before)
}

fn allocate(bytes: usize) -> u64 {
    let mut address = 0;
    // SAFETY: the pointer is valid.
    assert_eq!(unsafe { cuMemAllocAsync(&mut address, bytes, null_mut()) }, SUCCESS);
    address
}

fn upload(address: u64, values: &[u8]) -> Status {
    // SAFETY: the slice has the bytes.
    unsafe { cuMemcpyHtoDAsync_v2(address, values.as_ptr().cast(), values.len(), null_mut()) }
}

fn read(address: u64, bytes: usize) -> (Status, Vec<u8>) {
    let mut values = vec![0xff; bytes];
    // SAFETY: the vector has the bytes.
    let status = unsafe { cuMemcpyDtoHAsync_v2(values.as_mut_ptr().cast(), address, bytes, null_mut()) };
    (status, values)
}

/// A kernel of the module.
fn kernel(name: &CStr) -> *mut c_void {
    let (mut module, mut function) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid, and the text ends with a zero byte.
    unsafe {
        assert_eq!(cuModuleLoadData(&mut module, PTX.as_ptr().cast()), SUCCESS);
        assert_eq!(cuModuleGetFunction(&mut function, module, name.as_ptr()), SUCCESS);
    }
    function
}

fn launch(function: *mut c_void, grid: [u32; 3], block: [u32; 3], shared: u32) -> Status {
    let ([x, y, z], [bx, by, bz]) = (grid, block);
    // SAFETY: the function is of `kernel` or null.
    unsafe { cuLaunchKernel(function, x, y, z, bx, by, bz, shared, null_mut(), null_mut(), null_mut()) }
}

#[test]
fn the_device_says_that_it_is_a_dry_run() {
    let _turn = start();
    let mut name = [1; 64];
    let (mut count, mut major, mut bytes) = (0, 0, 0);
    // SAFETY: all pointers are valid, and the buffer has the length.
    unsafe {
        assert_eq!(cuDeviceGetCount(&mut count), SUCCESS);
        assert_eq!(cuDeviceGetName(name.as_mut_ptr(), 64, 0), SUCCESS);
        assert_eq!(cuDeviceGetAttribute(&mut major, 75, 0), SUCCESS);
        assert_eq!(cuDeviceTotalMem_v2(&mut bytes, 0), SUCCESS);
        assert_eq!(
            CStr::from_ptr(name.as_ptr()).to_str().unwrap(),
            "dry run of compute capability 9.0, computes nothing"
        );
        assert_eq!((count, major, bytes), (1, 9, 80 << 30));
        // A short buffer gets the start of the name.
        assert_eq!(cuDeviceGetName(name.as_mut_ptr(), 8, 0), SUCCESS);
        assert_eq!(CStr::from_ptr(name.as_ptr()).to_str().unwrap(), "dry run");
        let mut device = 0;
        assert_eq!(cuDeviceGet(&mut device, 1), INVALID_DEVICE);
        assert_eq!(cuDeviceGetAttribute(&mut major, 9999, 0), INVALID_VALUE);
    }
}

#[test]
fn memory_is_zero_and_copies_stay_within_their_block() {
    let _turn = start();
    let address = allocate(1000);
    assert!(address.is_multiple_of(512));
    assert_eq!(read(address, 1000), (SUCCESS, vec![0; 1000]));
    let more = added(|| {
        assert_eq!(upload(address + 10, &[1, 2, 3]), SUCCESS);
        assert_eq!(read(address + 9, 5), (SUCCESS, vec![0, 1, 2, 3, 0]));
        assert_eq!(cuMemcpyDtoDAsync_v2(address + 500, address + 10, 3, null_mut()), SUCCESS);
        assert_eq!(cuMemsetD8Async(address, 7, 2, null_mut()), SUCCESS);
        assert_eq!(read(address, 3).1, [7, 7, 0]);
        assert_eq!(read(address + 501, 2).1, [2, 3]);
    });
    let counts = ["uploads", "pageable_uploaded_bytes", "reads", "read_bytes", "device_copies", "fills"]
        .map(|kind| more.count(kind));
    assert_eq!(counts, [1, 3, 3, 10, 1, 1]);
    assert_eq!((more.get("upload_sizes", "3"), more.get("read_sizes", "5")), (1, 1));
    // Beyond the end, before the start, and after the block is freed.
    let refused = added(|| {
        assert_eq!(upload(address + 998, &[1, 2, 3]), INVALID_VALUE);
        assert_eq!(read(address + 1000, 1).0, INVALID_VALUE);
        assert_eq!(upload(8, &[1]), INVALID_VALUE);
        assert_eq!(cuMemFreeAsync(address + 1, null_mut()), INVALID_VALUE);
        assert_eq!(cuMemFreeAsync(address, null_mut()), SUCCESS);
        assert_eq!(upload(address, &[1]), INVALID_VALUE);
        assert_eq!(cuMemFreeAsync(address, null_mut()), INVALID_VALUE);
    });
    assert_eq!((refused.count("refusals"), refused.count("uploads"), refused.count("reads")), (6, 0, 0));
}

#[test]
fn memory_ends() {
    let _turn = start();
    let mut address = 0;
    let (mut free, mut total) = (0, 0);
    // SAFETY: all pointers are valid.
    unsafe {
        assert_eq!(cuMemGetInfo_v2(&mut free, &mut total), SUCCESS);
        assert_eq!(cuMemAlloc_v2(&mut address, free + 1), OUT_OF_MEMORY);
        assert_eq!(cuMemAlloc_v2(&mut address, 0), INVALID_VALUE);
        let mut pinned = null_mut();
        assert_eq!(cuMemAllocHost_v2(&mut pinned, 4096), SUCCESS);
        let end = pinned.cast::<u8>().add(4096 - 3);
        let device = allocate(3);
        let more = added(|| assert_eq!(cuMemcpyHtoDAsync_v2(device, end.cast(), 3, null_mut()), SUCCESS));
        assert_eq!((more.count("pinned_uploaded_bytes"), more.count("pageable_uploaded_bytes")), (3, 0));
        assert_eq!(cuMemFreeHost(pinned), SUCCESS);
        assert_eq!(cuMemFreeHost(pinned), INVALID_VALUE);
    }
}

#[test]
fn rows_are_copied_with_their_pitch() {
    let _turn = start();
    let address = allocate(3 * 512);
    let mut host: Vec<u8> = (1..=12).collect();
    let on_host = Side { x: 0, y: 0, kind: 1, host: host.as_mut_ptr().cast(), device: 0, array: null_mut(), pitch: 4 };
    let on_device = Side { x: 0, y: 0, kind: 2, host: null_mut(), device: address, array: null_mut(), pitch: 512 };
    let copy = |rows: Rows| {
        // SAFETY: the sides have the rows.
        unsafe { cuMemcpy2DAsync_v2(&rows, null_mut()) }
    };
    let more = added(|| assert_eq!(copy(Rows { from: on_host, to: on_device, width: 4, height: 3 }), SUCCESS));
    assert_eq!((more.count("uploads"), more.count("pageable_uploaded_bytes")), (1, 12));
    assert_eq!(read(address + 512, 5).1, [5, 6, 7, 8, 0]);
    host.fill(0);
    let more = added(|| {
        let rows = Rows { from: Side { x: 1, y: 1, ..on_device }, to: on_host, width: 2, height: 2 };
        assert_eq!(copy(rows), SUCCESS);
    });
    assert_eq!((more.count("reads"), more.get("read_sizes", "4")), (1, 1));
    assert_eq!(host, [6, 7, 0, 0, 10, 11, 0, 0, 0, 0, 0, 0]);
    assert_eq!(copy(Rows { from: on_host, to: on_device, width: 4, height: 4 }), INVALID_VALUE);
    assert_eq!(copy(Rows { from: on_host, to: on_device, width: 5, height: 1 }), INVALID_VALUE);
    assert_eq!(copy(Rows { from: on_host, to: Side { kind: 3, ..on_device }, width: 4, height: 1 }), NOT_SUPPORTED);
}

#[test]
fn launches_have_the_limits_of_the_device() {
    let _turn = start();
    let free = kernel(c"free");
    let more = added(|| {
        for (grid, block) in [
            ([1, 1, 1], [1024, 1, 1]),
            ([i32::MAX as u32, 65_535, 65_535], [1, 1, 64]),
            ([1, 1, 1], [1, 1024, 1]),
            ([1, 1, 1], [32, 32, 1]),
        ] {
            assert_eq!(launch(free, grid, block, 48 << 10), SUCCESS, "{grid:?} {block:?}");
        }
    });
    assert_eq!((more.count("launches"), more.get("kernels", "free"), more.count("refusals")), (4, 4, 0));
    let wrong = [
        ([0, 1, 1], [1, 1, 1], 0),
        ([1 << 31, 1, 1], [1, 1, 1], 0),
        ([1, 65_536, 1], [1, 1, 1], 0),
        ([1, 1, 65_536], [1, 1, 1], 0),
        ([1, 1, 1], [1025, 1, 1], 0),
        ([1, 1, 1], [1, 0, 1], 0),
        ([1, 1, 1], [1, 1, 65], 0),
        ([1, 1, 1], [33, 32, 1], 0),
        ([1, 1, 1], [1, 1, 1], (48 << 10) + 1),
    ];
    let more = added(|| {
        for (grid, block, shared) in wrong {
            assert_eq!(launch(free, grid, block, shared), INVALID_VALUE, "{grid:?} {block:?} {shared}");
        }
    });
    assert_eq!((more.count("launches"), more.count("refusals")), (0, wrong.len() as u64));
    assert!(more.section("failures").all(|(reason, _)| reason.starts_with("cuLaunchKernel: free: ")));
    assert_eq!(launch(null_mut(), [1, 1, 1], [1, 1, 1], 0), INVALID_HANDLE);
}

#[test]
fn a_kernel_gets_the_shared_memory_that_it_asks_for() {
    let _turn = start();
    let free = kernel(c"free");
    let ask = |bytes: c_int| {
        // SAFETY: the function is of the module.
        unsafe { cuFuncSetAttribute(free, 8, bytes) }
    };
    assert_eq!(ask(100_000), SUCCESS);
    assert_eq!(launch(free, [1, 1, 1], [1, 1, 1], 100_000), SUCCESS);
    assert_eq!(launch(free, [1, 1, 1], [1, 1, 1], 100_001), INVALID_VALUE);
    assert_eq!(ask(232_448), SUCCESS);
    assert_eq!(ask(232_449), INVALID_VALUE);
    assert_eq!(ask(-1), INVALID_VALUE);
    assert_eq!(launch(free, [1, 1, 1], [1, 1, 1], 232_448), SUCCESS);
}

#[test]
fn a_kernel_says_which_launches_it_is_compiled_for() {
    let _turn = start();
    let (bounded, clustered) = (kernel(c"bounded"), kernel(c"clustered"));
    assert_eq!(launch(bounded, [1, 1, 1], [64, 1, 1], 0), SUCCESS);
    assert_eq!(launch(bounded, [1, 1, 1], [65, 1, 1], 0), INVALID_VALUE);
    assert_eq!(launch(clustered, [4, 1, 1], [64, 1, 1], 0), SUCCESS);
    assert_eq!(launch(clustered, [3, 1, 1], [64, 1, 1], 0), INVALID_VALUE);
    let (mut module, mut function) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid, and the texts end with zero bytes.
    unsafe {
        assert_eq!(cuModuleLoadData(&mut module, c"no PTX".as_ptr().cast()), INVALID_PTX);
        assert_eq!(cuModuleLoadData(&mut module, PTX.as_ptr().cast()), SUCCESS);
        assert_eq!(cuModuleGetFunction(&mut function, module, c"fre".as_ptr()), NOT_FOUND);
        assert_eq!(cuModuleUnload(module), SUCCESS);
    }
}

#[test]
fn waiting_is_counted_by_what_is_waited_for() {
    let _turn = start();
    let (mut stream, mut event) = (null_mut(), null_mut());
    let more = added(|| {
        // SAFETY: all pointers are valid.
        unsafe {
            assert_eq!(cuStreamCreate(&mut stream, 1), SUCCESS);
            assert_eq!(cuEventCreate(&mut event, 0), SUCCESS);
        }
        assert_eq!(cuEventRecord(event, stream), SUCCESS);
        assert_eq!(cuStreamWaitEvent(null_mut(), event, 0), SUCCESS);
        assert_eq!(cuEventQuery(event), SUCCESS);
        assert_eq!(cuEventSynchronize(event), SUCCESS);
        assert_eq!(cuStreamSynchronize(stream), SUCCESS);
        assert_eq!(cuCtxSynchronize(), SUCCESS);
        assert_eq!(cuEventDestroy_v2(event), SUCCESS);
        assert_eq!(cuStreamDestroy_v2(stream), SUCCESS);
    });
    let waits = ["event_synchronisations", "stream_synchronisations", "device_synchronisations", "stream_waits"];
    assert_eq!(waits.map(|kind| more.count(kind)), [1; 4]);
    assert_eq!(more.count("refusals"), 0);
    assert_eq!(cuEventSynchronize(event), INVALID_HANDLE);
    assert_eq!(cuEventRecord(null_mut(), null_mut()), INVALID_HANDLE);
    assert_eq!(cuStreamSynchronize(stream), INVALID_HANDLE);
}

#[test]
fn codes_have_names() {
    let (mut name, mut text) = (std::ptr::null(), std::ptr::null());
    // SAFETY: the pointers are valid, and the texts end with zero bytes.
    unsafe {
        assert_eq!(cuGetErrorName(INVALID_PTX, &mut name), SUCCESS);
        assert_eq!(cuGetErrorString(OUT_OF_MEMORY, &mut text), SUCCESS);
        assert_eq!(CStr::from_ptr(name).to_str().unwrap(), "CUDA_ERROR_INVALID_PTX");
        assert_eq!(CStr::from_ptr(text).to_str().unwrap(), "out of memory");
        assert_eq!(cuGetErrorName(SUCCESS, &mut name), SUCCESS);
        assert_eq!(CStr::from_ptr(name).to_str().unwrap(), "CUDA_SUCCESS");
        assert_eq!(cuGetErrorName(12_345, &mut name), INVALID_VALUE);
    }
}

//! Device memory, which is host memory here, and pinned host memory.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::MEMORY;
use crate::journal::{Event, record};
use crate::refuse;
use crate::status::{INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, Status};

/// The alignment of device memory, the driver's.
const ALIGNMENT: usize = 512;

/// A block of memory. Its pages are zero and take no space until they are written.
#[derive(Debug)]
struct Block {
    bytes: usize,
    /// What the system returned; the block starts at the first aligned address.
    raw: *mut c_void,
}

// SAFETY: the pointer is an address that only this module frees, once.
unsafe impl Send for Block {}

/// The blocks by their addresses, of device memory and of pinned memory.
static DEVICE: Mutex<BTreeMap<u64, Block>> = Mutex::new(BTreeMap::new());
static PINNED: Mutex<BTreeMap<u64, Block>> = Mutex::new(BTreeMap::new());

fn lock(blocks: &'static Mutex<BTreeMap<u64, Block>>) -> MutexGuard<'static, BTreeMap<u64, Block>> {
    // The table is whole between any two statements that may panic.
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" {
    fn calloc(count: usize, bytes: usize) -> *mut c_void;
    fn free(raw: *mut c_void);
}

/// Allocates a block and returns its address.
fn allocate(call: &'static str, blocks: &'static Mutex<BTreeMap<u64, Block>>, bytes: usize) -> Result<u64, Status> {
    let mut blocks = lock(blocks);
    let used: usize = blocks.values().map(|block| block.bytes).sum();
    if bytes == 0 {
        return Err(refuse(call, INVALID_VALUE, "0 bytes"));
    }
    if bytes > MEMORY.saturating_sub(used) {
        return Err(refuse(call, OUT_OF_MEMORY, format!("{bytes} bytes with {used} of {MEMORY} in use")));
    }
    // SAFETY: any size may be asked for; a failure is a null pointer.
    let raw = unsafe { calloc(1, bytes + ALIGNMENT) };
    if raw.is_null() {
        return Err(refuse(call, OUT_OF_MEMORY, format!("this machine has no {bytes} bytes")));
    }
    let address = (raw as u64).next_multiple_of(ALIGNMENT as u64);
    blocks.insert(address, Block { bytes, raw });
    Ok(address)
}

/// Frees the block at an address.
fn release(call: &'static str, blocks: &'static Mutex<BTreeMap<u64, Block>>, address: u64) -> Status {
    match lock(blocks).remove(&address) {
        Some(block) => {
            // SAFETY: `calloc` returned the pointer, and it leaves the table once.
            unsafe { free(block.raw) };
            SUCCESS
        }
        None => refuse(call, INVALID_VALUE, format!("{address:#x} is not the start of a block")),
    }
}

/// Checks that bytes from an address on lie within one block of device memory.
pub(crate) fn check_range(call: &'static str, address: u64, bytes: usize) -> Result<(), Status> {
    let blocks = lock(&DEVICE);
    let room = blocks.range(..=address).next_back().map_or(0, |(start, block)| {
        let offset = address - start;
        (block.bytes as u64).saturating_sub(offset)
    });
    if bytes as u64 <= room {
        return Ok(());
    }
    Err(refuse(
        call,
        INVALID_VALUE,
        format!("{bytes} bytes at {address:#x}, where a block of device memory has {room}"),
    ))
}

/// Whether an address lies in a block of pinned memory.
pub(crate) fn is_pinned(address: u64) -> bool {
    let blocks = lock(&PINNED);
    blocks.range(..=address).next_back().is_some_and(|(start, block)| address - start < block.bytes as u64)
}

/// Allocates device memory and writes its address.
///
/// # Safety
/// `address` is null or valid for a write.
unsafe fn allocate_on_device(call: &'static str, address: *mut u64, bytes: usize) -> Status {
    if address.is_null() {
        return refuse(call, INVALID_VALUE, "no place for the address");
    }
    match allocate(call, &DEVICE, bytes) {
        Ok(found) => {
            // SAFETY: the contract is the caller's.
            unsafe { address.write(found) };
            record(Event::Allocation(bytes));
            SUCCESS
        }
        Err(status) => status,
    }
}

/// Allocates device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { allocate_on_device("cuMemAlloc_v2", address, bytes) }
}

/// Allocates device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, _stream: *mut c_void) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { allocate_on_device("cuMemAllocAsync", address, bytes) }
}

/// Frees device memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> Status {
    record(Event::Release);
    release("cuMemFree_v2", &DEVICE, address)
}

/// Frees device memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, _stream: *mut c_void) -> Status {
    record(Event::Release);
    release("cuMemFreeAsync", &DEVICE, address)
}

/// Allocates pinned host memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(memory: *mut *mut c_void, bytes: usize) -> Status {
    if memory.is_null() {
        return refuse("cuMemAllocHost_v2", INVALID_VALUE, "no place for the address");
    }
    match allocate("cuMemAllocHost_v2", &PINNED, bytes) {
        Ok(found) => {
            // SAFETY: the contract is the caller's.
            unsafe { memory.write(found as *mut c_void) };
            record(Event::PinnedAllocation(bytes));
            SUCCESS
        }
        Err(status) => status,
    }
}

/// Frees pinned host memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(memory: *mut c_void) -> Status {
    release("cuMemFreeHost", &PINNED, memory as u64)
}

/// Writes the free and the total bytes of device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free_bytes: *mut usize, total: *mut usize) -> Status {
    if free_bytes.is_null() || total.is_null() {
        return refuse("cuMemGetInfo_v2", INVALID_VALUE, "no place for the result");
    }
    let used: usize = lock(&DEVICE).values().map(|block| block.bytes).sum();
    // SAFETY: the contract is the caller's.
    unsafe {
        free_bytes.write(MEMORY - used);
        total.write(MEMORY);
    }
    SUCCESS
}

/// Allocates memory that host and device share.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocManaged(address: *mut u64, bytes: usize, _flags: c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { allocate_on_device("cuMemAllocManaged", address, bytes) }
}

//! The device and its context.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::journal::{Event, For, record, save_at_exit};
use crate::launches::limits;
use crate::refuse;
use crate::settings::settings;
use crate::status::{INVALID_DEVICE, INVALID_VALUE, NOT_FOUND, NOT_INITIALIZED, SUCCESS, Status};
use crate::streams;

/// Memory of the device in bytes, as an H100 has it.
pub const MEMORY: usize = 80 << 30;

/// The only context. It is never dereferenced.
const CONTEXT: usize = 0x1000;

static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Initialises the driver.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> Status {
    if let Err(problem) = settings() {
        return refuse("cuInit", INVALID_VALUE, problem);
    }
    if flags != 0 {
        return refuse("cuInit", INVALID_VALUE, format!("flags are {flags}, expected 0"));
    }
    save_at_exit();
    INITIALIZED.store(true, Ordering::Release);
    SUCCESS
}

/// Whether the driver is initialised.
fn initialized(call: &'static str) -> Result<(), Status> {
    match INITIALIZED.load(Ordering::Acquire) {
        true => Ok(()),
        false => Err(refuse(call, NOT_INITIALIZED, "cuInit was not called")),
    }
}

/// Checks the device and writes a value.
///
/// # Safety
/// `to` is null or valid for a write.
unsafe fn answer<T>(call: &'static str, device: c_int, to: *mut T, value: T) -> Status {
    if let Err(status) = initialized(call) {
        return status;
    }
    if device != 0 {
        return refuse(call, INVALID_DEVICE, format!("there is no device {device}: the only one is 0"));
    }
    if to.is_null() {
        return refuse(call, INVALID_VALUE, "no place for the result");
    }
    // SAFETY: the caller passes a pointer that is valid for a write unless it is null.
    unsafe { to.write(value) };
    SUCCESS
}

/// Writes the version of the driver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Status {
    if version.is_null() {
        return INVALID_VALUE;
    }
    let Ok(settings) = settings() else { return INVALID_VALUE };
    let (major, minor) = settings.version;
    // SAFETY: the contract is the caller's.
    unsafe { version.write((1000 * major + 10 * minor) as c_int) };
    SUCCESS
}

/// Writes the number of devices, 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDeviceGetCount", 0, count, 1) }
}

/// Writes a device's handle, its number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, number: c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDeviceGet", number, device, number) }
}

/// Writes the device's name, cut to the length of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Status {
    let (major, minor) = settings().map_or((0, 0), |settings| settings.capability);
    let text = format!("dry run of compute capability {major}.{minor}, computes nothing");
    if name.is_null() || length < 1 {
        return refuse("cuDeviceGetName", INVALID_VALUE, "no place for the name");
    }
    let kept = text.len().min(length as usize - 1);
    // SAFETY: the caller passes a buffer of `length` bytes, and `kept` is less.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast::<c_char>(), name, kept);
        answer("cuDeviceGetName", device, name.add(kept), 0)
    }
}

/// Writes the bytes of the device's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDeviceTotalMem_v2", device, bytes, MEMORY) }
}

/// Writes an identifier of the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDeviceGetUuid_v2", device, uuid, *b"dry-cuda-device0") }
}

/// Writes an attribute of the device: that of an H100, with the compute capability of the settings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) -> Status {
    let (major, minor) = settings().map_or((0, 0), |settings| settings.capability);
    let found = match attribute {
        1 => limits::THREADS as c_int,
        2..=4 => limits::BLOCK[attribute as usize - 2] as c_int,
        5..=7 => limits::GRID[attribute as usize - 5] as c_int,
        // Shared memory of a block without and with an attribute of its kernel, and of a multiprocessor.
        8 => limits::SHARED as c_int,
        97 => limits::SHARED_ON_REQUEST as c_int,
        81 => 228 << 10,
        // Constant memory, width of a warp, registers of a block and of a multiprocessor, clock in kHz.
        9 => 64 << 10,
        10 => 32,
        12 | 82 => 65_536,
        13 => 1_980_000,
        // Multiprocessors, and threads and blocks on each.
        16 => 132,
        39 => 2048,
        106 => 32,
        75 => major as c_int,
        76 => minor as c_int,
        // Unified addresses, managed memory, memory pools, launches in clusters, tensor maps.
        41 | 83 | 115 | 120 | 127 => 1,
        other => {
            let reason = format!("attribute {other} is unknown here: add it if a program needs it");
            return refuse("cuDeviceGetAttribute", INVALID_VALUE, reason);
        }
    };
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDeviceGetAttribute", device, value, found) }
}

/// Writes the device's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuDevicePrimaryCtxRetain", device, context, CONTEXT as *mut c_void) }
}

/// Does nothing: the context stays.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> Status {
    SUCCESS
}

/// Checks the context. Every thread has the same one.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: *mut c_void) -> Status {
    match context as usize {
        0 | CONTEXT => SUCCESS,
        other => refuse("cuCtxSetCurrent", crate::status::INVALID_HANDLE, format!("{other:#x} is no context")),
    }
}

/// Writes the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut c_void) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { answer("cuCtxGetCurrent", 0, context, CONTEXT as *mut c_void) }
}

/// Waits for all streams.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Status {
    streams::wait_for_all();
    record(Event::Wait(For::Device));
    SUCCESS
}

/// Has no tables: NVRTC asks for one of NVIDIA's private ones, and does without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetExportTable(table: *mut *const c_void, _name: *const [u8; 16]) -> Status {
    if !table.is_null() {
        // SAFETY: the caller passes a pointer that is valid for a write unless it is null.
        unsafe { table.write(std::ptr::null()) };
    }
    NOT_FOUND
}

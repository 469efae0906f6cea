//! Status codes of the driver API (`CUresult`), with their names.

use std::ffi::{CStr, c_char, c_int};

/// The result of a call.
pub type Status = c_int;

/// Status codes that this driver returns, under NVIDIA's names without the prefix `CUDA_ERROR_`.
macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        $(#[doc = $text] pub const $name: Status = $code;)*

        /// The name and the description of a status code.
        fn describe(status: Status) -> Option<(&'static CStr, &'static CStr)> {
            let text = |text: &'static str| CStr::from_bytes_with_nul(text.as_bytes()).expect("a literal ends with its zero");
            match status {
                $($code => {
                    let name = if $code == 0 { "CUDA_SUCCESS\0" } else { concat!("CUDA_ERROR_", stringify!($name), "\0") };
                    Some((text(name), text(concat!($text, "\0"))))
                })*
                _ => None,
            }
        }
    };
}

codes! {
    SUCCESS = 0, "no error";
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "cuInit was not called";
    INVALID_DEVICE = 101, "invalid device number";
    INVALID_PTX = 218, "the module is no PTX";
    INVALID_HANDLE = 400, "invalid handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "work before the event is not done";
    LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for a launch";
    NOT_SUPPORTED = 801, "operation not supported";
}

/// Writes one of the two texts of a status code.
///
/// # Safety
/// `text` is valid for a write.
unsafe fn write(
    status: Status,
    text: *mut *const c_char,
    choose: fn((&'static CStr, &'static CStr)) -> &'static CStr,
) -> Status {
    match describe(status) {
        Some(texts) => {
            // SAFETY: the caller passes a valid pointer.
            unsafe { *text = choose(texts).as_ptr() };
            SUCCESS
        }
        None => INVALID_VALUE,
    }
}

/// Writes the name of a status code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(status: Status, name: *mut *const c_char) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { write(status, name, |texts| texts.0) }
}

/// Writes the description of a status code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(status: Status, text: *mut *const c_char) -> Status {
    // SAFETY: the contract is the caller's.
    unsafe { write(status, text, |texts| texts.1) }
}

//! A library with some of NVRTC's functions, for the tests: it compiles every source without the word `error`.
#![allow(non_snake_case, reason = "the functions have NVIDIA's names")]
#![allow(clippy::missing_safety_doc, reason = "the contracts of the functions are NVRTC's")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};

const MESSAGES: &CStr = c"a note\nline 1: error: there is an error\n";

/// Creates a program, its source.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    program: *mut *mut c_void,
    source: *const c_char,
    _name: *const c_char,
    _headers: c_int,
    _texts: *const *const c_char,
    _names: *const *const c_char,
) -> c_int {
    // SAFETY: the caller passes a valid pointer and a source that ends with a zero byte.
    unsafe { *program = CString::from(CStr::from_ptr(source)).into_raw().cast() };
    0
}

/// Compiles a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCompileProgram(
    program: *mut c_void,
    _count: c_int,
    _options: *const *const c_char,
) -> c_int {
    // SAFETY: the program is of `nvrtcCreateProgram`.
    let source = unsafe { CStr::from_ptr(program.cast()) };
    if source.to_string_lossy().contains("error") { 6 } else { 0 }
}

/// Writes the size of the messages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLogSize(_program: *mut c_void, bytes: *mut usize) -> c_int {
    // SAFETY: the caller passes a valid pointer.
    unsafe { *bytes = MESSAGES.count_bytes() + 1 };
    0
}

/// Writes the messages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLog(_program: *mut c_void, messages: *mut c_char) -> c_int {
    // SAFETY: the caller has a buffer of the size.
    unsafe { std::ptr::copy_nonoverlapping(MESSAGES.as_ptr(), messages, MESSAGES.count_bytes() + 1) };
    0
}

/// Writes the version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> c_int {
    // SAFETY: the caller passes valid pointers.
    unsafe { (*major, *minor) = (13, 7) };
    0
}

//! Modules and their kernels.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::journal::{Event, record};
use crate::launches::limits;
use crate::ptx;
use crate::refuse;
use crate::status::{INVALID_PTX, INVALID_VALUE, NOT_FOUND, SUCCESS, Status};

/// A kernel that a program holds. It lives to the end of the process, since a module's kernels are few.
#[derive(Debug)]
pub(crate) struct Function {
    pub kernel: ptx::Kernel,
    /// Shared memory that a launch may ask for.
    pub shared: AtomicU32,
}

/// Attributes of a kernel: the shared memory that a launch may ask for, and whether clusters of any size are allowed.
const SHARED_ON_REQUEST: c_int = 8;
const ANY_CLUSTER: c_int = 14;

/// Loads a module from PTX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_void) -> Status {
    let call = "cuModuleLoadData";
    if module.is_null() || image.is_null() {
        return refuse(call, INVALID_VALUE, "no module");
    }
    // SAFETY: PTX ends with a zero byte. So does the part of a binary that is read here: it has one early.
    let text = unsafe { CStr::from_ptr(image.cast()) };
    let kernels = text.to_str().ok().and_then(ptx::kernels);
    match kernels {
        None => refuse(call, INVALID_PTX, "the module is no PTX"),
        Some(kernels) => {
            record(Event::Module(text.count_bytes()));
            // SAFETY: the pointer is not null, and the caller vouches for it.
            unsafe { module.write(Box::into_raw(Box::new(kernels)).cast()) };
            SUCCESS
        }
    }
}

/// Unloads a module. Its kernels stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleUnload(module: *mut c_void) -> Status {
    if module.is_null() {
        return refuse("cuModuleUnload", INVALID_VALUE, "no module");
    }
    // SAFETY: the caller passes a module of `cuModuleLoadData` for the last time.
    drop(unsafe { Box::from_raw(module.cast::<Vec<ptx::Kernel>>()) });
    SUCCESS
}

/// Finds a kernel of a module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    module: *mut c_void,
    name: *const c_char,
) -> Status {
    let call = "cuModuleGetFunction";
    if function.is_null() || module.is_null() || name.is_null() {
        return refuse(call, INVALID_VALUE, "no module, or no name");
    }
    // SAFETY: the caller passes a module of `cuModuleLoadData` and a name that ends with a zero byte.
    let (kernels, name) = unsafe { (&*module.cast::<Vec<ptx::Kernel>>(), CStr::from_ptr(name).to_string_lossy()) };
    match kernels.iter().find(|kernel| kernel.name == name) {
        None => refuse(call, NOT_FOUND, format!("the module has no kernel {name}")),
        Some(kernel) => {
            let found = Function { kernel: kernel.clone(), shared: AtomicU32::new(limits::SHARED) };
            // SAFETY: the pointer is not null, and the caller vouches for it.
            unsafe { function.write(Box::into_raw(Box::new(found)).cast()) };
            SUCCESS
        }
    }
}

/// Sets an attribute of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetAttribute(function: *mut c_void, attribute: c_int, value: c_int) -> Status {
    let call = "cuFuncSetAttribute";
    // SAFETY: the caller passes a kernel of `cuModuleGetFunction` or null.
    let Some(function) = (unsafe { function.cast::<Function>().as_ref() }) else {
        return refuse(call, INVALID_VALUE, "no kernel");
    };
    let name = &function.kernel.name;
    match (attribute, u32::try_from(value)) {
        (SHARED_ON_REQUEST, Ok(bytes)) if bytes <= limits::SHARED_ON_REQUEST => {
            // The driver allows the usual size in any case.
            function.shared.store(bytes.max(limits::SHARED), Ordering::Relaxed);
            SUCCESS
        }
        (SHARED_ON_REQUEST, _) => {
            let most = limits::SHARED_ON_REQUEST;
            refuse(call, INVALID_VALUE, format!("{name}: {value} bytes of shared memory, a block has at most {most}"))
        }
        (ANY_CLUSTER, _) => SUCCESS,
        _ => refuse(call, INVALID_VALUE, format!("{name}: attribute {attribute} is unknown here")),
    }
}

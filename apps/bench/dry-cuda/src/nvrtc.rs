//! NVRTC under its own name: calls go on to NVIDIA's library, compilations are timed and failures recorded.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use crate::journal::{Event, record};
use crate::settings::settings;

/// The result of a call, `nvrtcResult`.
pub type Nvrtc = c_int;

/// `NVRTC_ERROR_INTERNAL_ERROR`, for a library that cannot be loaded.
const UNAVAILABLE: Nvrtc = 11;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// A handle of NVIDIA's library.
struct Library(*mut c_void);

// SAFETY: a handle may be used by any thread, and the library is never closed.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// Loads NVIDIA's library, once. What is missing is said once.
fn library() -> Option<&'static Library> {
    static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| {
        let path = settings().ok().and_then(|settings| settings.nvrtc.as_deref());
        let Some(path) = path else {
            eprintln!("dry-cuda: DRY_CUDA_NVRTC is not set: expected the path of NVIDIA's libnvrtc.so.13");
            return None;
        };
        let name = CString::new(path.as_os_str().as_bytes()).ok()?;
        const NOW: c_int = 2;
        // SAFETY: the name ends with a zero byte, and so does the text of the error.
        unsafe {
            let handle = dlopen(name.as_ptr(), NOW);
            if handle.is_null() {
                eprintln!("dry-cuda: DRY_CUDA_NVRTC: {}", CStr::from_ptr(dlerror()).to_string_lossy());
                return None;
            }
            Some(Library(handle))
        }
    });
    LIBRARY.as_ref()
}

/// NVRTC's function of a name.
///
/// # Safety
/// `F` is the type of a pointer to the function.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: the handle is open, the name ends with a zero byte, and the caller vouches for the type.
    unsafe {
        let found = dlsym(library()?.0, name.as_ptr());
        (!found.is_null()).then(|| std::mem::transmute_copy(&found))
    }
}

/// Passes calls on.
macro_rules! forward {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> Nvrtc {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a literal ends with its zero"),
            };
            // SAFETY: NVRTC's function of this name has this type. The contract of the call is the caller's.
            unsafe {
                match function::<unsafe extern "C" fn($($type),*) -> Nvrtc>(NAME) {
                    Some(function) => function($($argument),*),
                    None => UNAVAILABLE,
                }
            }
        }
    )*};
}

/// Calls that are passed on unseen.
pub mod forwarded {
    use super::*;

    forward! {
        /// Writes the version.
        nvrtcVersion(major: *mut c_int, minor: *mut c_int);
        /// Destroys a program.
        nvrtcDestroyProgram(program: *mut *mut c_void);
        /// Writes the size of the PTX.
        nvrtcGetPTXSize(program: *mut c_void, bytes: *mut usize);
        /// Writes the PTX.
        nvrtcGetPTX(program: *mut c_void, ptx: *mut c_char);
        /// Writes the size of the binary.
        nvrtcGetCUBINSize(program: *mut c_void, bytes: *mut usize);
        /// Writes the binary.
        nvrtcGetCUBIN(program: *mut c_void, binary: *mut c_char);
        /// Writes the size of the messages.
        nvrtcGetProgramLogSize(program: *mut c_void, bytes: *mut usize);
        /// Writes the messages.
        nvrtcGetProgramLog(program: *mut c_void, messages: *mut c_char);
        /// Writes the number of architectures.
        nvrtcGetNumSupportedArchs(count: *mut c_int);
        /// Writes the architectures.
        nvrtcGetSupportedArchs(architectures: *mut c_int);
    }
}

/// Types of the functions whose calls are recorded.
type Create = unsafe extern "C" fn(
    *mut *mut c_void,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> Nvrtc;
type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> Nvrtc;
type Text = unsafe extern "C" fn(Nvrtc) -> *const c_char;

/// The kernels of the programs that were created, by their handles.
static KERNELS: LazyLock<Mutex<HashMap<usize, String>>> = LazyLock::new(Mutex::default);

/// Creates a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    program: *mut *mut c_void,
    source: *const c_char,
    name: *const c_char,
    headers: c_int,
    texts: *const *const c_char,
    names: *const *const c_char,
) -> Nvrtc {
    // SAFETY: this is the type of NVRTC's function. The contract of the call is the caller's.
    let created = unsafe {
        let Some(create) = function::<Create>(c"nvrtcCreateProgram") else { return UNAVAILABLE };
        create(program, source, name, headers, texts, names)
    };
    if created == 0 && !source.is_null() {
        // SAFETY: NVRTC has written the handle, and a source ends with a zero byte.
        let (handle, source) = unsafe { (*program as usize, CStr::from_ptr(source).to_string_lossy()) };
        KERNELS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, kernel_of(&source));
    }
    created
}

/// Compiles a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCompileProgram(
    program: *mut c_void,
    count: c_int,
    options: *const *const c_char,
) -> Nvrtc {
    let started = Instant::now();
    // SAFETY: this is the type of NVRTC's function. The contract of the call is the caller's.
    let compiled = unsafe {
        let Some(compile) = function::<Compile>(c"nvrtcCompileProgram") else { return UNAVAILABLE };
        compile(program, count, options)
    };
    let microseconds = started.elapsed().as_micros() as u64;
    let kernel = KERNELS.lock().unwrap_or_else(PoisonError::into_inner).remove(&(program as usize));
    let kernel = kernel.as_deref().unwrap_or("of an unknown program");
    record(Event::Compilation { kernel, microseconds });
    if compiled != 0 {
        // SAFETY: the program is the caller's, and was compiled.
        let messages = unsafe { messages(program) };
        let error = messages.lines().find(|line| line.contains("error")).or(messages.lines().next());
        record(Event::FailedCompilation { kernel, message: error.unwrap_or("NVRTC gives no message") });
    }
    compiled
}

/// Returns the description of a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetErrorString(result: Nvrtc) -> *const c_char {
    // SAFETY: this is the type of NVRTC's function.
    unsafe {
        match function::<Text>(c"nvrtcGetErrorString") {
            Some(text) => text(result),
            None => c"NVRTC is not available".as_ptr(),
        }
    }
}

/// NVRTC's messages on a program.
///
/// # Safety
/// The program is valid.
unsafe fn messages(program: *mut c_void) -> String {
    let mut bytes = 0;
    // SAFETY: the size is written before it is used, and the buffer has it.
    unsafe {
        if forwarded::nvrtcGetProgramLogSize(program, &mut bytes) != 0 {
            return String::new();
        }
        let mut text = vec![0u8; bytes.max(1)];
        if forwarded::nvrtcGetProgramLog(program, text.as_mut_ptr().cast()) != 0 {
            return String::new();
        }
        CStr::from_bytes_until_nul(&text).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The name of the first kernel of a source.
fn kernel_of(source: &str) -> String {
    let is_name = |c: char| c == '_' || c.is_alphanumeric();
    let after = source.split_once("__global__").map_or("", |(_, after)| after);
    // The name stands before the first parenthesis that follows no keyword.
    let mut rest = after;
    while let Some((before, behind)) = rest.split_once('(') {
        let name = before.trim_end().rsplit(|c: char| !is_name(c)).next().unwrap_or_default();
        if !name.is_empty() && !name.starts_with("__") {
            return name.to_string();
        }
        rest = behind;
    }
    "without a name".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_its_kernel() {
        let plain = "#include <x>\nextern \"C\" __global__ void plain_kernel(float *a) {}";
        assert_eq!(kernel_of(plain), "plain_kernel");
        let bounded = "extern \"C\" __global__ void __launch_bounds__(256)\nbounded (int *a) { f(a); }";
        assert_eq!(kernel_of(bounded), "bounded");
        assert_eq!(kernel_of("int f();"), "without a name");
    }
}

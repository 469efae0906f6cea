//! Finds NVRTC, CUDA's run-time compiler, and tries it before the first kernel: CubeCL panics if something is missing.

use std::ffi::{CStr, c_char};
use std::path::Path;

use burn_cubecl::cubecl::cuda::install;
use cudarc::{driver, nvrtc};

use super::cuda_faults::{Fault, Toolkit, Version, fault_in, missing_header};
use super::panics::catch_panic;
use qare_lab::{LabError, Result};

/// Calls into a library that may be missing, in which case its loader panics.
pub fn call_library<T, E: std::fmt::Debug>(
    call: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, String> {
    match catch_panic(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("it reports {error:?}")),
        // The rest of the message lists every file name that was tried.
        Err(Some(message)) => Err(message.split(" - searched").next().unwrap_or(&message).to_string()),
        Err(None) => Err("it cannot be loaded".into()),
    }
}

/// Loads NVRTC and returns its version.
pub fn nvrtc_version() -> Result<Version> {
    load_from_toolkit();
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both pointers are valid for writes.
    call_library(|| unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }.result()).map_err(|reason| {
        LabError::Failed(format!(
            "the cuda backend needs NVRTC to compile its kernels (libnvrtc.so, in the CUDA toolkit or pip's \
             nvidia-cuda-nvrtc): {reason}; install it, or add its folder to LD_LIBRARY_PATH"
        ))
    })?;
    Ok((major, minor))
}

/// Loads NVRTC and its parts from the folder that the headers are in, if the system's loader does not find it by name. The loader then
/// finds what is loaded.
#[cfg(target_os = "linux")]
fn load_from_toolkit() {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    // SAFETY: loading NVRTC runs nothing but its own initialisation.
    if catch_panic(|| unsafe { nvrtc::sys::is_culib_present() }).unwrap_or(false) {
        return;
    }
    let Some(toolkit) = install::cuda_path() else { return };
    let folders = ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"].map(|name| toolkit.join(name));
    // NVRTC opens its parts by name.
    for start in ["libnvrtc-builtins.so.", "libnvrtc.so."] {
        let Some(library) = folders.iter().find_map(|folder| newest(folder, start)) else { continue };
        let Ok(path) = CString::new(library.as_os_str().as_bytes()) else { continue };
        // SAFETY: the path ends in a zero. The library stays loaded.
        unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    }
}

#[cfg(not(target_os = "linux"))]
fn load_from_toolkit() {}

/// The file of a folder with this start and the largest number after it.
#[cfg(target_os = "linux")]
fn newest(folder: &Path, start: &str) -> Option<std::path::PathBuf> {
    let number = |path: &std::path::PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix(start)?.to_string();
        name.split('.').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<_>>>()
    };
    let paths = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| number(path).is_some()).max_by_key(number)
}

/// Makes sure that kernels can be compiled for a GPU.
///
/// A trial with the headers of matrix products takes about half a second, so a success is remembered in the folder of compiled kernels, if
/// there is one. Missing headers, and missing parts of NVRTC by a kernel without headers, are found at each start.
///
/// # Errors
/// If something is missing or too old. The message says what, and what to install or to set.
pub fn check(nvrtc: Version, architecture: i32, device: usize, remembered_in: Option<&Path>) -> Result<()> {
    let Some(root) = install::cuda_path() else {
        return Err(LabError::Failed(
            "the cuda backend needs CUDA's headers and found no CUDA toolkit in /usr/local/cuda, /opt/cuda or /usr: \
             install it, or set CUDA_PATH to its folder, which holds include/cuda_runtime.h"
                .into(),
        ));
    };
    let toolkit = Toolkit {
        nvrtc,
        driver: driver_version(),
        headers: root.join("include"),
        architecture,
        known: architectures(),
    };
    let failed = |fault: Fault| LabError::Failed(toolkit.message(&fault));
    missing_header(&toolkit.headers).map_or(Ok(()), |fault| Err(failed(fault)))?;

    let memory = remembered_in.map(|folder| folder.join("compiler-tried"));
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let tried = format!("{}\n{:?}\n{libraries:?}\n", toolkit.headers.display(), toolkit.driver);
    if memory.as_ref().is_some_and(|file| std::fs::read_to_string(file).is_ok_and(|text| text == tried)) {
        return compile(&toolkit, WITHOUT_HEADERS).map(drop).map_err(failed);
    }
    let code = compile(&toolkit, WITH_HEADERS).map_err(failed)?;
    // PTX of a newer CUDA may need a newer driver.
    if toolkit.nvrtc > toolkit.driver {
        load(&code, device).map_err(|reason| failed(Fault::Driver(reason)))?;
    }
    if let Some(file) = memory {
        // The next start tries again if this fails.
        let _ = std::fs::write(file, tried);
    }
    Ok(())
}

/// The newest version of CUDA that the driver runs.
fn driver_version() -> Version {
    let mut version = 0;
    // SAFETY: the pointer is valid for writes.
    match call_library(|| unsafe { driver::sys::cuDriverGetVersion(&mut version) }.result()) {
        Ok(()) => (version / 1000, version % 1000 / 10),
        Err(_) => (0, 0),
    }
}

/// The compute capabilities that NVRTC compiles for.
fn architectures() -> Vec<i32> {
    let mut count = 0;
    // SAFETY: the pointer is valid for writes.
    if call_library(|| unsafe { nvrtc::sys::nvrtcGetNumSupportedArchs(&mut count) }.result()).is_err() {
        return Vec::new();
    }
    let mut known = vec![0; count.max(0) as usize];
    // SAFETY: there is room for as many numbers as it writes.
    match call_library(|| unsafe { nvrtc::sys::nvrtcGetSupportedArchs(known.as_mut_ptr()) }.result()) {
        Ok(()) => known,
        Err(_) => Vec::new(),
    }
}

/// A kernel with the headers of CubeCL's matrix products.
const WITH_HEADERS: &CStr = c"#include <cuda_runtime.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>
extern \"C\" __global__ void qare_trial(float *x) { x[threadIdx.x] = nvcuda::wmma::__float_to_tf32(x[0]); }
";

/// A kernel that compiles in milliseconds.
const WITHOUT_HEADERS: &CStr = c"extern \"C\" __global__ void qare_trial(float *x) { x[threadIdx.x] = 1.0f; }\n";

/// Compiles a kernel with CubeCL's options.
fn compile(toolkit: &Toolkit, source: &CStr) -> std::result::Result<Vec<c_char>, Fault> {
    let Toolkit { architecture, known, headers, .. } = toolkit;
    if !known.is_empty() && !known.contains(architecture) {
        return Err(Fault::Architecture);
    }
    let specific = if *architecture >= 90 { "a" } else { "" };
    let mut options = vec![
        format!("--gpu-architecture=sm_{architecture}{specific}"),
        format!("--include-path={}", headers.display()),
        "-lineinfo".into(),
    ];
    if headers.join("cccl").is_dir() {
        options.push(format!("--include-path={}", headers.join("cccl").display()));
    }
    let program = call_library(|| nvrtc::result::create_program(source, None)).map_err(Fault::Other)?;
    // SAFETY: the program was just created, and its source is static.
    let compiled = call_library(|| unsafe { nvrtc::result::compile_program(program, &options) });
    // SAFETY: as above.
    let outcome = match compiled {
        Ok(()) => call_library(|| unsafe { nvrtc::result::get_ptx(program) }).map_err(Fault::Other),
        Err(reason) => Err(match call_library(|| unsafe { nvrtc::result::get_program_log(program) }) {
            Ok(log) => match fault_in(&log.iter().map(|c| char::from(*c as u8)).collect::<String>()) {
                Fault::Other(text) if text.is_empty() => Fault::Other(reason),
                fault => fault,
            },
            Err(_) => Fault::Other(reason),
        }),
    };
    // SAFETY: nothing uses the program any more.
    let _ = call_library(|| unsafe { nvrtc::result::destroy_program(program) });
    outcome
}

/// Loads compiled code onto a GPU.
fn load(code: &[c_char], device: usize) -> std::result::Result<(), String> {
    let described = |error: driver::DriverError| format!("{:?}", error.0);
    let device = driver::result::device::get(device as i32).map_err(described)?;
    // SAFETY: the driver has just returned this device. CubeCL retains the same context later on.
    let context = unsafe { driver::result::primary_ctx::retain(device) }.map_err(described)?;
    // SAFETY: the context is retained until the end of this function.
    let loaded = unsafe {
        driver::result::ctx::set_current(context)
            // SAFETY: NVRTC ends the code with a zero.
            .and_then(|()| driver::result::module::load_data(code.as_ptr().cast()))
            .and_then(|module| driver::result::module::unload(module))
    };
    // SAFETY: retained above, once.
    let _ = unsafe { driver::result::primary_ctx::release(device) };
    loaded.map_err(described)
}

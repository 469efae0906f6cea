//! The backend `cuda`, for NVIDIA GPUs.
//!
//! The driver, NVRTC and CUDA's headers are loaded at run time. They are checked here, since Burn panics if one is missing.

use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::cuda::{CudaRuntime, install};
use burn_cuda::CudaDevice;
use cudarc::{driver, nvrtc};

use super::panics::catch_panic;
use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory};
use qare_lab::PrintablePath;
use qare_lab::{LabError, Result};

pub type Plain = burn_cuda::Cuda;

pub const NAME: &str = "cuda";

/// Calls into a library that may be missing, in which case its loader panics.
fn call_library<T, E: std::fmt::Debug>(
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

/// The number of GPUs.
fn count() -> Result<usize> {
    let counted = call_library(driver::result::init)
        .and_then(|()| call_library(driver::result::device::get_count))
        .map_err(|reason| {
            LabError::Failed(format!(
                "the cuda backend needs an NVIDIA GPU and NVIDIA's driver (libcuda.so.1, nvcuda.dll): {reason}; install \
                 the driver from nvidia.com or your distribution and check that `nvidia-smi` lists the GPU. The build with \
                 default features runs on the CPU"
            ))
        })?;
    match counted {
        count if count > 0 => Ok(count as usize),
        _ => Err(LabError::Failed(
            "the cuda backend found NVIDIA's driver but no GPU; check that `nvidia-smi` lists one and that \
             CUDA_VISIBLE_DEVICES does not hide it"
                .into(),
        )),
    }
}

/// Checks for NVRTC and CUDA's headers, which compile the kernels on first use.
fn check_compiler() -> Result<()> {
    let version = || {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are valid for writes.
        unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }.result()
    };
    call_library(version).map_err(|reason| {
        LabError::Failed(format!(
            "the cuda backend needs NVRTC to compile its kernels (libnvrtc.so, in the CUDA toolkit or pip's \
             nvidia-cuda-nvrtc): {reason}; install it, or add its folder to LD_LIBRARY_PATH"
        ))
    })?;
    let headers = install::cuda_path().map(|path| path.join("include"));
    match headers {
        Some(headers) if headers.join("cuda_runtime.h").is_file() => Ok(()),
        Some(headers) => Err(LabError::Failed(format!(
            "the cuda backend needs CUDA's headers, and {} has no cuda_runtime.h: set CUDA_PATH to the CUDA toolkit's \
             folder, which holds include/cuda_runtime.h",
            headers.printable()
        ))),
        None => Err(LabError::Failed(
            "the cuda backend needs CUDA's headers and found no CUDA toolkit in /usr/local/cuda, /opt/cuda or /usr: \
             install it, or set CUDA_PATH to its folder, which holds include/cuda_runtime.h"
                .into(),
        )),
    }
}

pub fn init() {}

pub fn devices() -> Result<Vec<DeviceInfo>> {
    let info = |number: usize| {
        let failed = |error| LabError::Failed(format!("the driver gives no information on device {number}: {error:?}"));
        let device = driver::result::device::get(number as i32).map_err(failed)?;
        let name = driver::result::device::get_name(device).map_err(failed)?;
        // SAFETY: the driver has just returned this device.
        let memory = unsafe { driver::result::device::total_mem(device) }.map_err(failed)?;
        Ok(DeviceInfo { choice: DeviceChoice::Number(number), name, memory: Some(memory as u64) })
    };
    (0..count()?).map(info).collect()
}

pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    let number = match choice {
        None => 0,
        Some(DeviceChoice::Number(number)) => number,
        Some(DeviceChoice::Cpu) => {
            return Err(LabError::Usage(
                "--device cpu: the cuda backend computes on NVIDIA GPUs only; the build with default features runs on the CPU"
                    .into(),
            ));
        }
    };
    let count = count()?;
    if number >= count {
        return Err(LabError::Usage(format!(
            "--device {number}: the cuda backend sees {count} GPU(s), numbered from 0; `qare devices` lists them"
        )));
    }
    check_compiler()?;
    Ok(CudaDevice::new(number))
}

pub fn name(device: &Device) -> Option<String> {
    let device = driver::result::device::get(device.index as i32).ok()?;
    driver::result::device::get_name(device).ok()
}

pub fn memory(device: &Device) -> Option<DeviceMemory> {
    let usage = CudaRuntime::client(device).memory_usage().ok()?;
    Some(DeviceMemory { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
}

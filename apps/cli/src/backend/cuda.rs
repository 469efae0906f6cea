//! CUDA: NVIDIA GPUs. The driver, NVRTC and CUDA's headers are looked for when the program runs; Burn panics where one is missing.

use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::cuda::{CudaRuntime, install};
use burn_cuda::CudaDevice;
use cudarc::{driver, nvrtc};

use super::panics::caught;
use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory};
use qare_lab::{LabError, Result};

pub type Plain = burn_cuda::Cuda;

pub const NAME: &str = "cuda";

/// What a call into a library comes to that may not be there, in which case its loader panics.
fn loaded<T, E: std::fmt::Debug>(call: impl FnOnce() -> std::result::Result<T, E>) -> std::result::Result<T, String> {
    match caught(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("it says {error:?}")),
        // All the names it has been looked for by would follow.
        Err(Some(message)) => Err(message.split(" - searched").next().unwrap_or(&message).to_string()),
        Err(None) => Err("it cannot be loaded".into()),
    }
}

/// How many GPUs the driver has.
fn count() -> Result<usize> {
    let counted = loaded(driver::result::init)
        .and_then(|()| loaded(driver::result::device::get_count))
        .map_err(|reason| {
            LabError::Failed(format!(
                "the cuda backend needs NVIDIA's driver (libcuda.so.1, nvcuda.dll), and an NVIDIA GPU: {reason}; install \
                 the driver from nvidia.com or your distribution and see that `nvidia-smi` lists the GPU. The build with \
                 default features runs on the CPU"
            ))
        })?;
    match counted {
        count if count > 0 => Ok(count as usize),
        _ => Err(LabError::Failed(
            "the cuda backend has found NVIDIA's driver, but no GPU: `nvidia-smi` should list one \
             (CUDA_VISIBLE_DEVICES hides those that it does not name)"
                .into(),
        )),
    }
}

/// Kernels are compiled when they are first needed, by NVRTC, with CUDA's headers.
fn check_compiler() -> Result<()> {
    let version = || {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both are valid places for a number.
        unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }.result()
    };
    loaded(version).map_err(|reason| {
        LabError::Failed(format!(
            "the cuda backend needs NVRTC (libnvrtc.so, of the CUDA toolkit; pip's nvidia-cuda-nvrtc has it too), which \
             compiles its kernels: {reason}; install the toolkit, or name the library's folder in LD_LIBRARY_PATH"
        ))
    })?;
    let headers = install::cuda_path().map(|path| path.join("include"));
    match headers {
        Some(headers) if headers.join("cuda_runtime.h").is_file() => Ok(()),
        Some(headers) => Err(LabError::Failed(format!(
            "the cuda backend needs CUDA's headers, and {} has no cuda_runtime.h: set CUDA_PATH to the folder of the CUDA \
             toolkit, the one with include/cuda_runtime.h in it",
            headers.display()
        ))),
        None => Err(LabError::Failed(
            "the cuda backend needs CUDA's headers and has found no toolkit in /usr/local/cuda, /opt/cuda or /usr: \
             install it, or set CUDA_PATH to its folder, the one with include/cuda_runtime.h in it"
                .into(),
        )),
    }
}

pub fn at_start() {}

pub fn devices() -> Result<Vec<DeviceInfo>> {
    let told = |number: usize| {
        let failed = |error| LabError::Failed(format!("the driver does not tell of device {number}: {error:?}"));
        let device = driver::result::device::get(number as i32).map_err(failed)?;
        let name = driver::result::device::get_name(device).map_err(failed)?;
        // SAFETY: the driver has just named this device.
        let memory = unsafe { driver::result::device::total_mem(device) }.map_err(failed)?;
        Ok(DeviceInfo { choice: DeviceChoice::Number(number), name, memory: Some(memory as u64) })
    };
    (0..count()?).map(told).collect()
}

pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    let number = match choice {
        None => 0,
        Some(DeviceChoice::Number(number)) => number,
        Some(DeviceChoice::Cpu) => {
            return Err(LabError::Usage(
                "--device cpu: the cuda backend computes on NVIDIA GPUs only; the build with default features is for the CPU"
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

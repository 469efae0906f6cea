//! The backend `cuda`, for NVIDIA GPUs.
//!
//! The driver, NVRTC and CUDA's headers are loaded at run time. They are checked before the first use, since Burn panics if one is
//! missing.

use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::cuda::CudaRuntime;
use burn_cuda::CudaDevice;
use cudarc::driver;

use super::cuda_compiler::{call_library, check, nvrtc_version};
use super::kernel_cache::Subject;
use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory, cubecl};
use qare_lab::{LabError, Result};

pub type Plain = burn_cuda::Cuda;

pub const NAME: &str = "cuda";

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

/// Compute capability and name of each GPU, such as 90.
fn gpus(count: usize) -> Result<Vec<(i32, String)>> {
    use driver::sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    let gpu = |number: usize| {
        let device = driver::result::device::get(number as i32)?;
        // SAFETY: the driver has just returned this device.
        let part = |which| unsafe { driver::result::device::get_attribute(device, which) };
        Ok((part(MAJOR)? * 10 + part(MINOR)?, driver::result::device::get_name(device)?))
    };
    let gpus: std::result::Result<Vec<_>, driver::DriverError> = (0..count).map(gpu).collect();
    gpus.map_err(|error| LabError::Failed(format!("the driver gives no information on its devices: {error:?}")))
}

/// What compiled kernels are for. CubeCL keeps the kernels of a process in one place, whatever GPU they are for.
fn subject(gpus: &[(i32, String)], (major, minor): (i32, i32)) -> Subject {
    let first = &gpus[0];
    let kernels = gpus
        .iter()
        .all(|(architecture, _)| *architecture == first.0)
        .then(|| format!("{NAME}-sm{}-nvrtc{major}.{minor}", first.0));
    // Timings belong to a GPU's number.
    let alike = gpus.iter().all(|(_, name)| *name == first.1);
    let names: Vec<&str> =
        gpus.iter().map(|(_, name)| name.as_str()).take(if alike { 1 } else { gpus.len() }).collect();
    Subject { kernels, gpus: format!("{NAME}-{}", names.join("+")) }
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
    let gpus = gpus(count)?;
    let nvrtc = nvrtc_version()?;
    let subject = subject(&gpus, nvrtc);
    check(nvrtc, gpus[number].0, number, cubecl::cache(&subject).kernels.as_deref())?;
    cubecl::configure(&subject)?;
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

//! The CPU backends `flex` and `ndarray`.

use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory};
use qare_lab::{LabError, Result};

#[cfg(feature = "flex")]
pub type Plain = burn_flex::Flex;
#[cfg(feature = "ndarray")]
pub type Plain = burn_ndarray::NdArray;

pub const NAME: &str = if cfg!(feature = "flex") { "flex" } else { "ndarray" };

pub fn init() {}

pub fn devices() -> Result<Vec<DeviceInfo>> {
    let threads = rayon::current_num_threads();
    Ok(vec![DeviceInfo { choice: DeviceChoice::Number(0), name: format!("the CPU, {threads} threads"), memory: None }])
}

pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    match choice {
        None | Some(DeviceChoice::Cpu | DeviceChoice::Number(0)) => Ok(Device::default()),
        Some(DeviceChoice::Number(number)) => Err(LabError::Usage(format!(
            "--device {number}: this build computes on the CPU, which is device 0; for a GPU, build with the feature cuda, \
             vulkan, metal or wgpu (cargo build --release --no-default-features --features BACKEND)"
        ))),
    }
}

pub fn name(_device: &Device) -> Option<String> {
    None
}

pub fn memory(_device: &Device) -> Option<DeviceMemory> {
    None
}

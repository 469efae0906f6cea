//! The one place where the backend is chosen, by Cargo feature, and its device, by the call.

mod choice;
#[cfg(feature = "cuda")]
#[path = "cuda.rs"]
mod selected;
#[cfg(any(feature = "flex", feature = "ndarray"))]
#[path = "host.rs"]
mod selected;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
#[path = "wgpu.rs"]
mod selected;

use burn::backend::Autodiff;

pub use choice::DeviceChoice;
pub use selected::{NAME, Plain};

use crate::error::Result;

/// Whether tensors are plain numbers in the memory of this process, and every operation is done when its call returns.
pub const HOST: bool = cfg!(any(feature = "flex", feature = "ndarray"));

/// The backend that trains.
pub type Training = Autodiff<Plain>;
/// Its device.
pub type Device = burn::tensor::Device<Training>;

/// A device as `qare devices` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What `--device` calls it.
    pub choice: DeviceChoice,
    /// Its maker's name for it, and of what kind it is.
    pub name: String,
    /// Bytes of memory, where they are known.
    pub memory: Option<u64>,
}

/// What has to be settled while the program has one thread only, and before anything is asked of a device.
pub fn at_start() {
    selected::at_start();
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    one_stream();
}

/// Lets all threads share one queue of work for each device.
///
/// CubeCL 0.10 gives each thread a queue of its own, and with several threads on a device a kernel may then read what another
/// queue has still to write: on Mesa's Vulkan, two threads training on one device came to wrong losses.
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
fn one_stream() {
    use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.streaming.max_streams = 1;
    CubeClRuntimeConfig::set(config);
}

/// What this build can see; an error, which says what to install, if that is nothing.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    selected::devices()
}

/// The device that is meant, ready to be used; the best one if none is named.
pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    selected::device(choice)
}

/// The maker's name of a device; of a CPU that Burn computes on by itself, nothing.
pub fn device_name(device: &Device) -> Option<String> {
    selected::name(device)
}

/// Bytes on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What tensors occupy.
    pub in_use: u64,
    /// What is kept, for these and for those to come.
    pub reserved: u64,
}

/// What is in use on a device with a memory of its own; nothing on a CPU.
pub fn device_memory(device: &Device) -> Option<DeviceMemory> {
    selected::memory(device)
}

/// A device for unit tests.
#[cfg(test)]
pub fn any_device() -> Device {
    device(None).expect("tests are run where there is a device")
}

//! The one place where the backend is chosen, by Cargo feature, and its device, by the call.

#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod panics;
#[cfg(feature = "cuda")]
#[path = "cuda.rs"]
mod selected;
#[cfg(any(feature = "flex", feature = "ndarray"))]
#[path = "host.rs"]
mod selected;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
#[path = "wgpu.rs"]
mod selected;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod streams;

use burn::backend::Autodiff;

pub use selected::{NAME, Plain};

pub use qare_lab::recipe::DeviceChoice;

use qare_lab::Result;
use qare_lab::recipe::Recipe;

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

/// What has to be settled while the program has one thread only.
pub fn at_start() {
    selected::at_start();
}

/// What this build can see; an error, which says what to install, if that is nothing.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    selected::devices()
}

/// The device that is meant, ready to be used; the best one if none is named.
pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    streams::share_one()?;
    selected::device(choice)
}

/// The device that is asked for. If none is, that of the run; or the best one, where the run's is not there: it may be from
/// another machine.
pub fn device_for(asked: Option<DeviceChoice>, of_run: Option<DeviceChoice>) -> Result<Device> {
    match asked {
        Some(_) => device(asked),
        None => device(of_run).or_else(|_| device(None)),
    }
}

/// Any device, to hold weights that nothing is computed with.
pub fn device_at_hand() -> Result<Device> {
    device(None).or_else(|error| device(Some(DeviceChoice::Cpu)).map_err(|_| error))
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

/// The devices of a recipe's training, the main one first. Each of them computes in the recipe's precision.
pub fn devices_of(recipe: &Recipe) -> Result<Vec<Device>> {
    let ready = |choice| {
        let device = device(choice)?;
        recipe.precision.require::<Plain>(NAME, &device).map(|()| device)
    };
    recipe.devices().into_iter().map(ready).collect()
}

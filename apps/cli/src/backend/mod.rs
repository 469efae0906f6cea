//! Selects the backend by Cargo feature and opens its devices.

#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod cubecl;
#[cfg(feature = "cuda")]
mod cuda_compiler;
#[cfg(any(test, feature = "cuda"))]
mod cuda_faults;
#[cfg(any(test, not(any(feature = "flex", feature = "ndarray"))))]
#[cfg_attr(
    any(feature = "flex", feature = "ndarray"),
    allow(dead_code, reason = "only its tests run in builds for the CPU")
)]
mod kernel_cache;
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

use burn::backend::Autodiff;
// Holds Burn's operations and kernels compiled for the backend, most of the code that this crate would otherwise compile anew whenever it
// changes. At `opt-level = 1` the compiler takes such code from the crates that are used.
#[cfg(feature = "gpu")]
use burn_dispatch as _;

pub use selected::{NAME, Plain};

pub use qare_lab::recipe::DeviceChoice;

use qare_lab::Result;
use qare_lab::recipe::Recipe;

/// Whether tensors live in host memory and operations are synchronous.
pub const HOST: bool = cfg!(any(feature = "flex", feature = "ndarray"));

/// The backend that trains.
pub type Training = Autodiff<Plain>;
/// A device of the backend.
pub type Device = burn::tensor::Device<Training>;

/// A device as `qare devices` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Value of `--device` that selects it.
    pub choice: DeviceChoice,
    /// The maker's name and the kind of the device.
    pub name: String,
    /// Size of its memory in bytes, if known.
    pub memory: Option<u64>,
}

/// Initialises the backend. Must run before the program starts other threads.
pub fn init() {
    selected::init();
}

/// The devices that this build finds.
///
/// # Errors
/// If there are none. The message says what to install.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    selected::devices()
}

/// The folder of compiled kernels and results of autotuning, or `None` if nothing is kept.
pub fn cache_folder() -> Option<std::path::PathBuf> {
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    return None;
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    kernel_cache::root()
}

/// Opens a device, by default the best one.
///
/// # Errors
/// If there is no such device, or something that it needs is not installed.
pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    qare_models::use_kernels::<Plain>();
    selected::device(choice)
}

/// Opens the requested device, or else the run's device. If this machine lacks the latter, opens the best one.
pub fn device_for(requested: Option<DeviceChoice>, of_run: Option<DeviceChoice>) -> Result<Device> {
    match requested {
        Some(_) => device(requested),
        None => device(of_run).or_else(|_| device(None)),
    }
}

/// Opens any device. For holding weights without computing with them.
pub fn any_device() -> Result<Device> {
    device(None).or_else(|error| device(Some(DeviceChoice::Cpu)).map_err(|_| error))
}

/// The maker's name of a device, or `None` on the CPU backends.
pub fn device_name(device: &Device) -> Option<String> {
    selected::name(device)
}

/// Memory use of a device in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes that tensors occupy.
    pub in_use: u64,
    /// Bytes that the allocator holds, including those that are free for later tensors.
    pub reserved: u64,
}

/// The memory use of a device, or `None` on the CPU backends.
pub fn device_memory(device: &Device) -> Option<DeviceMemory> {
    selected::memory(device)
}

/// Opens the devices of a recipe's training, the main one first.
///
/// # Errors
/// If a device does not exist or does not compute in the recipe's precision.
pub fn devices_of(recipe: &Recipe) -> Result<Vec<Device>> {
    let open = |choice| {
        let device = device(choice)?;
        recipe.precision.require::<Plain>(NAME, &device).map(|()| device)
    };
    recipe.devices().into_iter().map(open).collect()
}

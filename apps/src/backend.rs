//! The one place where the backend is chosen, by Cargo feature.

use burn::backend::Autodiff;

#[cfg(feature = "flex")]
mod selected {
    pub type Plain = burn_flex::Flex;
    pub const NAME: &str = "flex";
    pub fn device(_index: usize) -> burn_flex::FlexDevice {
        Default::default()
    }
    pub fn memory(_device: &burn_flex::FlexDevice) -> Option<super::DeviceMemory> {
        None
    }
}

#[cfg(feature = "ndarray")]
mod selected {
    pub type Plain = burn_ndarray::NdArray;
    pub const NAME: &str = "ndarray";
    pub fn device(_index: usize) -> burn_ndarray::NdArrayDevice {
        Default::default()
    }
    pub fn memory(_device: &burn_ndarray::NdArrayDevice) -> Option<super::DeviceMemory> {
        None
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
mod selected {
    use burn_cubecl::cubecl::Runtime;
    use burn_wgpu::{WgpuDevice, WgpuRuntime};

    pub type Plain = burn_wgpu::Wgpu;
    pub const NAME: &str = match (cfg!(feature = "vulkan"), cfg!(feature = "metal")) {
        (true, _) => "vulkan",
        (_, true) => "metal",
        _ => "wgpu",
    };
    /// Device 0 is whatever wgpu thinks best, which may be an integrated GPU; others are discrete ones.
    pub fn device(index: usize) -> WgpuDevice {
        if index == 0 { WgpuDevice::DefaultDevice } else { WgpuDevice::DiscreteGpu(index) }
    }
    pub fn memory(device: &WgpuDevice) -> Option<super::DeviceMemory> {
        let usage = WgpuRuntime::client(device).memory_usage().ok()?;
        Some(super::DeviceMemory { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
    }
}

#[cfg(feature = "cuda")]
mod selected {
    use burn_cubecl::cubecl::{Runtime, cuda::CudaRuntime};
    use burn_cuda::CudaDevice;

    pub type Plain = burn_cuda::Cuda;
    pub const NAME: &str = "cuda";
    pub fn device(index: usize) -> CudaDevice {
        CudaDevice::new(index)
    }
    pub fn memory(device: &CudaDevice) -> Option<super::DeviceMemory> {
        let usage = CudaRuntime::client(device).memory_usage().ok()?;
        Some(super::DeviceMemory { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
    }
}

pub use selected::{NAME, Plain, device};

/// Whether tensors are plain numbers in the memory of this process, and every operation is done when its call returns.
pub const HOST: bool = cfg!(any(feature = "flex", feature = "ndarray"));

/// The backend that trains.
pub type Training = Autodiff<selected::Plain>;
/// Its device.
pub type Device = burn::tensor::Device<Training>;

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

/// From now on all threads of a GPU's device share one queue of work. Has to be called before anything is asked of a device.
///
/// CubeCL 0.10 gives each thread a queue of its own, and with several threads on a device a kernel may then read what another
/// queue has still to write: on Mesa's Vulkan, two threads training on one device came to wrong losses.
pub fn one_stream() {
    #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda"))]
    {
        use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.streaming.max_streams = 1;
        CubeClRuntimeConfig::set(config);
    }
}

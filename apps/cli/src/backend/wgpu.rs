//! The WGPU backends: `vulkan` and `metal` compile kernels for these APIs directly, `wgpu` through WGSL.

use std::sync::OnceLock;

use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::future::block_on;
use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{WgpuDevice, WgpuRuntime};
use wgpu::{AdapterInfo, DeviceType, Instance, InstanceDescriptor};

use super::kernel_cache::Subject;
use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory, cubecl};
use qare_lab::{LabError, Result};

pub type Plain = burn_wgpu::Wgpu;

pub const NAME: &str = if cfg!(feature = "vulkan") {
    "vulkan"
} else if cfg!(feature = "metal") {
    "metal"
} else {
    "wgpu"
};

/// CubeCL's variable for the default device. It applies if the call names no device.
const DEFAULT_DEVICE: &str = "CUBECL_WGPU_DEFAULT_DEVICE";

/// An adapter, and the device that CubeCL addresses it by.
struct Adapter {
    device: WgpuDevice,
    info: AdapterInfo,
}

impl Adapter {
    fn is_cpu(&self) -> bool {
        self.device == WgpuDevice::Cpu
    }
}

/// GPUs in the order of their numbers, discrete ones first; then the CPU, if a driver computes on it.
fn adapters() -> &'static [Adapter] {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(enumerate_adapters)
}

fn enumerate_adapters() -> Vec<Adapter> {
    let backends = AutoGraphicsApi::backend().into();
    let instance = Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let all: Vec<AdapterInfo> =
        block_on(instance.enumerate_adapters(backends)).iter().map(|adapter| adapter.get_info()).collect();
    let of_kind = |kind: DeviceType, device: fn(usize) -> WgpuDevice| {
        let infos = all.iter().filter(move |info| info.device_type == kind);
        infos.enumerate().map(move |(index, info)| Adapter { device: device(index), info: info.clone() })
    };
    let gpus = of_kind(DeviceType::DiscreteGpu, WgpuDevice::DiscreteGpu)
        .chain(of_kind(DeviceType::IntegratedGpu, WgpuDevice::IntegratedGpu))
        .chain(of_kind(DeviceType::VirtualGpu, WgpuDevice::VirtualGpu));
    // CubeCL supports one CPU device.
    gpus.chain(of_kind(DeviceType::Cpu, |_| WgpuDevice::Cpu).take(1)).collect()
}

/// Disables Mesa's device-select layer on a machine without a desktop, where it only prints errors.
pub fn init() {
    if cfg!(target_os = "linux") && ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) {
        // SAFETY: the program has a single thread so far.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

pub fn devices() -> Result<Vec<DeviceInfo>> {
    let adapters = adapters();
    if adapters.is_empty() {
        return Err(LabError::Failed(no_device_message()));
    }
    let info = |(number, adapter): (usize, &Adapter)| DeviceInfo {
        choice: if adapter.is_cpu() { DeviceChoice::Cpu } else { DeviceChoice::Number(number) },
        name: describe(&adapter.info),
        memory: None,
    };
    Ok(adapters.iter().enumerate().map(info).collect())
}

fn describe(info: &AdapterInfo) -> String {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software on the CPU",
        DeviceType::Other => "other",
    };
    let driver = format!("{} {}", info.driver, info.driver_info);
    format!("{} ({kind}; {}, driver {})", info.name, info.backend, driver.trim())
}

fn no_device_message() -> String {
    let install = if cfg!(target_os = "macos") {
        "Metal is part of macOS and needs a Mac whose GPU supports it"
    } else if cfg!(target_os = "windows") {
        "install the GPU maker's current driver"
    } else {
        "install a Vulkan driver: the GPU maker's, or Mesa's (Debian and Ubuntu: apt install mesa-vulkan-drivers libvulkan1; \
         Fedora: dnf install mesa-vulkan-drivers), which also has one that computes on the CPU, for --device cpu"
    };
    let place = if cfg!(target_os = "linux") {
        "through the Vulkan loader (libvulkan.so.1) and its *_icd.json files"
    } else {
        "in the system's folders"
    };
    format!(
        "the {NAME} backend found no device: it looked for {} drivers {place}; {install}. The build with default \
         features needs no driver",
        AutoGraphicsApi::backend(),
    )
}

pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    let adapters = adapters();
    if adapters.is_empty() {
        return Err(LabError::Failed(no_device_message()));
    }
    let gpus = adapters.iter().filter(|adapter| !adapter.is_cpu()).count();
    let chosen = match choice {
        Some(DeviceChoice::Number(number)) if number < gpus => Some(adapters[number].device.clone()),
        Some(DeviceChoice::Number(number)) => {
            return Err(LabError::Usage(format!(
                "--device {number}: the {NAME} backend sees {gpus} GPU(s), numbered from 0; found: {}",
                list(adapters)
            )));
        }
        Some(DeviceChoice::Cpu) => {
            let cpu = adapters.iter().find(|adapter| adapter.is_cpu());
            let missing = || {
                LabError::Usage(format!(
                    "--device cpu: no {NAME} driver here computes on the CPU; use the build with default features, which \
                     is faster"
                ))
            };
            Some(cpu.ok_or_else(missing)?.device.clone())
        }
        None => None,
    };
    let device = chosen.map_or_else(|| default_device(adapters, gpus), Ok)?;
    cubecl::configure(&subject(adapters))?;
    Ok(device)
}

/// What compiled kernels are for. Their keys hold the properties of the adapter, those of timings only its number.
fn subject(adapters: &[Adapter]) -> Subject {
    let names: Vec<&str> = adapters.iter().map(|adapter| adapter.info.name.as_str()).collect();
    Subject { kernels: Some(NAME.into()), gpus: format!("{NAME}-{}", names.join("+")) }
}

/// The device that CubeCL's variable names, or else the first GPU.
fn default_device(adapters: &[Adapter], gpus: usize) -> Result<Device> {
    let Ok(name) = std::env::var(DEFAULT_DEVICE) else {
        if gpus > 0 {
            return Ok(adapters[0].device.clone());
        }
        return Err(LabError::Failed(format!(
            "the {NAME} backend found no GPU, only {}; install the GPU's driver, or compute on the CPU: with the build with \
             default features or, slower, with --device cpu",
            list(adapters)
        )));
    };
    parse_device(&name).filter(|device| adapters.iter().any(|adapter| adapter.device == *device)).ok_or_else(|| {
        LabError::Usage(format!(
            "{DEFAULT_DEVICE}={name}: no such device (expected Cpu, DiscreteGpu(N), IntegratedGpu(N) or VirtualGpu(N)); \
             found: {}",
            list(adapters)
        ))
    })
}

fn list(adapters: &[Adapter]) -> String {
    adapters.iter().map(|adapter| describe(&adapter.info)).collect::<Vec<_>>().join("; ")
}

/// Parses a device in CubeCL's spelling.
fn parse_device(text: &str) -> Option<WgpuDevice> {
    if text == "Cpu" {
        return Some(WgpuDevice::Cpu);
    }
    let (kind, index) = text.strip_suffix(')')?.split_once('(')?;
    let index = index.parse().ok()?;
    match kind {
        "DiscreteGpu" => Some(WgpuDevice::DiscreteGpu(index)),
        "IntegratedGpu" => Some(WgpuDevice::IntegratedGpu(index)),
        "VirtualGpu" => Some(WgpuDevice::VirtualGpu(index)),
        _ => None,
    }
}

pub fn name(device: &Device) -> Option<String> {
    adapters().iter().find(|adapter| adapter.device == *device).map(|adapter| adapter.info.name.clone())
}

pub fn memory(device: &Device) -> Option<DeviceMemory> {
    let usage = WgpuRuntime::client(device).memory_usage().ok()?;
    Some(DeviceMemory { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
}

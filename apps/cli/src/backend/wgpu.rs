//! WGPU: `vulkan` and `metal`, whose kernels are compiled for those directly, and `wgpu`, by way of WGSL.

use std::sync::OnceLock;

use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::future::block_on;
use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{WgpuDevice, WgpuRuntime};
use wgpu::{AdapterInfo, DeviceType, Instance, InstanceDescriptor};

use super::{Device, DeviceChoice, DeviceInfo, DeviceMemory};
use qare_lab::{LabError, Result};

pub type Plain = burn_wgpu::Wgpu;

pub const NAME: &str = match (cfg!(feature = "vulkan"), cfg!(feature = "metal")) {
    (true, _) => "vulkan",
    (_, true) => "metal",
    _ => "wgpu",
};

/// By which CubeCL's own programs choose; ours honours it where no device is named.
const DEFAULT_DEVICE: &str = "CUBECL_WGPU_DEFAULT_DEVICE";

/// A device, and how CubeCL calls it.
struct Found {
    device: WgpuDevice,
    info: AdapterInfo,
}

impl Found {
    fn is_cpu(&self) -> bool {
        self.device == WgpuDevice::Cpu
    }
}

/// GPUs in the order of their numbers, those with a memory of their own first; then the CPU, if a driver computes there.
fn found() -> &'static [Found] {
    static FOUND: OnceLock<Vec<Found>> = OnceLock::new();
    FOUND.get_or_init(look_for)
}

fn look_for() -> Vec<Found> {
    let backends = AutoGraphicsApi::backend().into();
    let instance = Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let all: Vec<AdapterInfo> =
        block_on(instance.enumerate_adapters(backends)).iter().map(|adapter| adapter.get_info()).collect();
    let of_kind = |kind: DeviceType, device: fn(usize) -> WgpuDevice| {
        let infos = all.iter().filter(move |info| info.device_type == kind);
        infos.enumerate().map(move |(index, info)| Found { device: device(index), info: info.clone() })
    };
    let gpus = of_kind(DeviceType::DiscreteGpu, WgpuDevice::DiscreteGpu)
        .chain(of_kind(DeviceType::IntegratedGpu, WgpuDevice::IntegratedGpu))
        .chain(of_kind(DeviceType::VirtualGpu, WgpuDevice::VirtualGpu));
    // CubeCL knows one of them only.
    gpus.chain(of_kind(DeviceType::Cpu, |_| WgpuDevice::Cpu).take(1)).collect()
}

/// Where there is no desktop, Mesa's layer that asks it for the GPU it prefers does nothing but complain to standard error.
pub fn at_start() {
    if cfg!(target_os = "linux") && ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) {
        // SAFETY: no other thread is there yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

pub fn devices() -> Result<Vec<DeviceInfo>> {
    let found = found();
    if found.is_empty() {
        return Err(LabError::Failed(nothing_found()));
    }
    let choice = |(number, found): (usize, &Found)| match found.is_cpu() {
        true => DeviceChoice::Cpu,
        false => DeviceChoice::Number(number),
    };
    Ok(found
        .iter()
        .enumerate()
        .map(|place| DeviceInfo { choice: choice(place), name: described(&place.1.info), memory: None })
        .collect())
}

fn described(info: &AdapterInfo) -> String {
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

fn nothing_found() -> String {
    let install = if cfg!(target_os = "macos") {
        "Metal is part of macOS: this needs a Mac whose GPU supports it"
    } else if cfg!(target_os = "windows") {
        "install the current driver of the GPU's maker"
    } else {
        "install a Vulkan driver: the GPU maker's, or Mesa's (Debian and Ubuntu: apt install mesa-vulkan-drivers libvulkan1; \
         Fedora: dnf install mesa-vulkan-drivers), which also has one that computes on the CPU, for --device cpu"
    };
    let looked = if cfg!(target_os = "linux") {
        "through the Vulkan loader (libvulkan.so.1) and its *_icd.json files"
    } else {
        "where the system keeps them"
    };
    format!(
        "the {NAME} backend has found no device: it looked for {} drivers {looked}; {install}. The build with default \
         features needs no driver",
        AutoGraphicsApi::backend(),
    )
}

pub fn device(choice: Option<DeviceChoice>) -> Result<Device> {
    let found = found();
    if found.is_empty() {
        return Err(LabError::Failed(nothing_found()));
    }
    let gpus = found.iter().filter(|found| !found.is_cpu()).count();
    let chosen = match choice {
        Some(DeviceChoice::Number(number)) if number < gpus => Some(found[number].device.clone()),
        Some(DeviceChoice::Number(number)) => {
            return Err(LabError::Usage(format!(
                "--device {number}: the {NAME} backend sees {gpus} GPU(s), numbered from 0; it has found: {}",
                listed(found)
            )));
        }
        Some(DeviceChoice::Cpu) => {
            let cpu = found.iter().find(|found| found.is_cpu());
            let missing = || {
                LabError::Usage(format!(
                    "--device cpu: no {NAME} driver here computes on the CPU; the build with default features does, and \
                     faster"
                ))
            };
            Some(cpu.ok_or_else(missing)?.device.clone())
        }
        None => None,
    };
    chosen.map_or_else(|| by_default(found, gpus), Ok)
}

/// The device where none is named: that of CubeCL's variable, or the first GPU.
fn by_default(found: &[Found], gpus: usize) -> Result<Device> {
    let Ok(name) = std::env::var(DEFAULT_DEVICE) else {
        return match gpus {
            0 => Err(LabError::Failed(format!(
                "the {NAME} backend has found no GPU, only {}: --device cpu computes on that, and the build with \
                 default features faster; for a GPU, its driver has to be installed",
                listed(found)
            ))),
            _ => Ok(found[0].device.clone()),
        };
    };
    named(&name).filter(|named| found.iter().any(|found| found.device == *named)).ok_or_else(|| {
        LabError::Usage(format!(
            "{DEFAULT_DEVICE}={name}: no such device (expected Cpu, DiscreteGpu(N), IntegratedGpu(N) or \
             VirtualGpu(N)); found are: {}",
            listed(found)
        ))
    })
}

fn listed(found: &[Found]) -> String {
    found.iter().map(|found| described(&found.info)).collect::<Vec<_>>().join("; ")
}

/// CubeCL's spelling of a device.
fn named(text: &str) -> Option<WgpuDevice> {
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
    found().iter().find(|found| found.device == *device).map(|found| found.info.name.clone())
}

pub fn memory(device: &Device) -> Option<DeviceMemory> {
    let usage = WgpuRuntime::client(device).memory_usage().ok()?;
    Some(DeviceMemory { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
}

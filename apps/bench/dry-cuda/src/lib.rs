//! A CUDA driver that computes nothing and counts.
//!
//! A program that loads this library as `libcuda.so.1` finds one GPU. Memory is host memory and copies are real, but a launch only
//! passes the checks of the driver. So on a machine without a GPU one sees what a program asks of one: launches, copies,
//! synchronisations, and calls that a GPU would refuse. The library also answers under the name `libnvrtc.so.13`: it passes all calls
//! on to NVIDIA's NVRTC and records how long each kernel takes to compile, and which kernels do not.
//! `apps/bench/dry-run.sh` lays out the folder with these names and runs the program.
//!
//! The functions are those that cudarc 0.19 calls for CubeCL 0.10. Loading another one fails with its name.
//!
//! | variable | meaning |
//! |---|---|
//! | `DRY_CUDA_SUMMARY` | file for the totals, see [`summary::Summary`] |
//! | `DRY_CUDA_LOG` | file with a line per event: seconds since the start, the event, its sizes |
//! | `DRY_CUDA_NVRTC` | NVIDIA's `libnvrtc.so.13`, with its folder on `LD_LIBRARY_PATH` for `libnvrtc-builtins` |
//! | `DRY_CUDA_CAPABILITY` | compute capability of the device (default 9.0) |
//! | `DRY_CUDA_VERSION` | version of CUDA that the driver is of (default 13.0, the oldest for a program with CUDA 13) |
//! | `DRY_CUDA_KERNEL_MICROSECONDS` | time that every kernel takes, for the program's own timings (default 0) |
//! | `DRY_CUDA_READS` | `zeros` (default): reads give zeros; `numbers`: they give different f32 from 0.5 to 1, as embeddings might be; `memory`: they give what was uploaded |
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]
#![deny(missing_docs)]
#![allow(non_snake_case, reason = "the functions have NVIDIA's names")]
#![allow(clippy::missing_safety_doc, reason = "the contracts of the functions are those of CUDA's driver API")]

pub mod report;
pub mod summary;

#[cfg(target_os = "linux")]
pub mod copies;
#[cfg(target_os = "linux")]
pub mod device;
#[cfg(target_os = "linux")]
mod journal;
#[cfg(target_os = "linux")]
pub mod launches;
#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod modules;
#[cfg(target_os = "linux")]
pub mod nvrtc;
#[cfg(target_os = "linux")]
mod ptx;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
pub mod status;
#[cfg(target_os = "linux")]
pub mod streams;
#[cfg(target_os = "linux")]
pub mod tensor_maps;

#[cfg(target_os = "linux")]
pub use journal::totals;

/// Records that a call is refused, and returns the status.
#[cfg(target_os = "linux")]
fn refuse(call: &'static str, status: status::Status, reason: impl AsRef<str>) -> status::Status {
    journal::record(journal::Event::Refusal { call, reason: reason.as_ref() });
    status
}

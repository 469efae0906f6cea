//! Launches, with the checks that the driver makes.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::Ordering;

use crate::journal::{Event, record};
use crate::modules::Function;
use crate::ptx::Block;
use crate::refuse;
use crate::status::{INVALID_HANDLE, INVALID_VALUE, SUCCESS, Status};
use crate::streams;

/// Limits of a launch from compute capability 9.0 on.
pub mod limits {
    /// Blocks of a grid in each dimension.
    pub const GRID: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];
    /// Threads of a block in each dimension.
    pub const BLOCK: [u32; 3] = [1024, 1024, 64];
    /// Threads of a block.
    pub const THREADS: u32 = 1024;
    /// Bytes of shared memory of a block.
    pub const SHARED: u32 = 48 << 10;
    /// Bytes of shared memory of a block whose kernel asks for more.
    pub const SHARED_ON_REQUEST: u32 = 227 << 10;
}

/// The number of threads or blocks.
fn product(dimensions: [u32; 3]) -> u64 {
    dimensions.into_iter().map(u64::from).product()
}

/// Why a launch is refused, if it is.
fn problem(function: &Function, grid: [u32; 3], block: [u32; 3], shared: u32) -> Option<String> {
    let within =
        |sizes: [u32; 3], limits: [u32; 3]| sizes.iter().zip(limits).all(|(size, most)| (1..=most).contains(size));
    let allowed = function.shared.load(Ordering::Relaxed);
    let fits = match function.kernel.block {
        None => true,
        Some(Block::AtMost(most)) => product(block) <= product(most),
        Some(Block::Exactly(only)) => block == only,
    };
    if !within(grid, limits::GRID) {
        return Some(format!("a grid of {grid:?} blocks, expected 1 to {:?}", limits::GRID));
    }
    if !within(block, limits::BLOCK) || product(block) > limits::THREADS.into() {
        let (most, threads) = (limits::BLOCK, limits::THREADS);
        return Some(format!("a block of {block:?} threads, expected 1 to {most:?} and at most {threads} together"));
    }
    if !fits {
        return Some(format!("a block of {block:?} threads, the kernel is compiled for {:?}", function.kernel.block));
    }
    if shared > allowed {
        return Some(format!("{shared} bytes of shared memory, the kernel may have {allowed}"));
    }
    match function.kernel.cluster {
        Some(cluster) if grid.iter().zip(cluster).any(|(blocks, size)| !blocks.is_multiple_of(size.max(1))) => {
            Some(format!("a grid of {grid:?} blocks, expected multiples of the cluster {cluster:?}"))
        }
        _ => None,
    }
}

/// Launches a kernel: checks it and counts it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared: c_uint,
    stream: *mut c_void,
    _parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> Status {
    let call = "cuLaunchKernel";
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    // SAFETY: the caller passes a kernel of `cuModuleGetFunction` or null.
    let Some(function) = (unsafe { function.cast::<Function>().as_ref() }) else {
        return refuse(call, INVALID_HANDLE, "no kernel");
    };
    let kernel = function.kernel.name.as_str();
    if let Some(problem) = problem(function, grid, block, shared) {
        return refuse(call, INVALID_VALUE, format!("{kernel}: {problem}"));
    }
    if let Err(status) = streams::launch(call, stream) {
        return status;
    }
    record(Event::Launch { kernel, grid, block, shared });
    SUCCESS
}

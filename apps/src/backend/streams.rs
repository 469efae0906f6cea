//! Queues of work of CubeCL's backends.

use std::panic::catch_unwind;
use std::sync::OnceLock;

use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use crate::error::{AppError, Result};

/// Lets all threads share one queue of work for each device. Has to be called before anything is asked of one.
///
/// CubeCL 0.10 gives each thread a queue of its own, and with several threads on a device a kernel may then read what another
/// queue has still to write: on Mesa's Vulkan, two threads training on one device came to wrong losses.
///
/// # Errors
/// If a file with settings of CubeCL is none.
pub fn share_one() -> Result<()> {
    static CONFIGURED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    CONFIGURED.get_or_init(configure).clone().map_err(AppError::Failed)
}

fn configure() -> std::result::Result<(), String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let read = catch_unwind(|| CubeClRuntimeConfig::from_current_dir().override_from_env());
    std::panic::set_hook(hook);
    let mut config = read.map_err(|panic| {
        let reason = panic.downcast_ref::<String>().map_or("it cannot be read", String::as_str);
        format!(
            "cubecl.toml, or another file with settings of CubeCL, in this folder or one above it: {reason}; correct it, or \
             take it away"
        )
    })?;
    config.streaming.max_streams = 1;
    CubeClRuntimeConfig::set(config);
    Ok(())
}

//! Queues of work of CubeCL's backends.

use std::sync::OnceLock;

use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use super::panics::caught;
use qare_lab::{LabError, Result};

/// Lets all threads share one queue of work for each device. Has to be called before anything is asked of one.
///
/// CubeCL 0.10 gives each thread a queue of its own, and with several threads on a device a kernel may then read what another
/// queue has still to write: on Mesa's Vulkan, two threads training on one device came to wrong losses.
///
/// # Errors
/// If a file with settings of CubeCL is none.
pub fn share_one() -> Result<()> {
    static CONFIGURED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    CONFIGURED.get_or_init(configure).clone().map_err(LabError::Failed)
}

fn configure() -> std::result::Result<(), String> {
    let read = caught(|| CubeClRuntimeConfig::from_current_dir().override_from_env());
    let mut config = read.map_err(|reason| {
        let reason = reason.unwrap_or_else(|| "it cannot be read".into());
        format!(
            "cubecl.toml, or another file with settings of CubeCL, in this folder or one above it: {reason}; correct it, or \
             take it away"
        )
    })?;
    config.streaming.max_streams = 1;
    CubeClRuntimeConfig::set(config);
    Ok(())
}

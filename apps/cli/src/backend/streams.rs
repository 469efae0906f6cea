//! The work queues (streams) of CubeCL's backends.

use std::sync::OnceLock;

use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use super::panics::catch_panic;
use qare_lab::{LabError, Result};

/// Makes all threads share one stream per device. Must run before the first use of a device.
///
/// CubeCL 0.10 gives each thread a stream of its own. A kernel may then read memory that another thread's stream has not yet
/// written: two threads that trained on one device through Mesa's Vulkan driver computed wrong losses.
///
/// # Errors
/// If CubeCL's configuration file is invalid.
pub fn share_one() -> Result<()> {
    static CONFIGURED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    CONFIGURED.get_or_init(configure).clone().map_err(LabError::Failed)
}

fn configure() -> std::result::Result<(), String> {
    let read = catch_panic(|| CubeClRuntimeConfig::from_current_dir().override_from_env());
    let mut config = read.map_err(|reason| {
        let reason = reason.unwrap_or_else(|| "it cannot be read".into());
        format!(
            "cubecl.toml, or another configuration file of CubeCL, in this folder or one above it: {reason}; correct it or \
             remove it"
        )
    })?;
    config.streaming.max_streams = 1;
    CubeClRuntimeConfig::set(config);
    Ok(())
}

//! The configuration of CubeCL, which computes on GPUs: one work queue (stream) per device, and where compiled kernels are kept.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn_cubecl::cubecl::config::cache::CacheConfig;
use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use super::kernel_cache::{KernelCache, Subject};
use super::panics::catch_panic;
use qare_lab::{LabError, Result};

/// Configures CubeCL, once. Must run before the first use of a device.
///
/// All threads share one stream per device. CubeCL 0.10 gives each thread a stream of its own. A kernel may then read memory that
/// another thread's stream has not yet written: two threads that trained on one device through Mesa's Vulkan driver computed wrong
/// losses.
///
/// # Errors
/// If CubeCL's configuration file is invalid.
pub fn configure(subject: &Subject) -> Result<()> {
    static CONFIGURED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    CONFIGURED.get_or_init(|| set(cache(subject))).clone().map_err(LabError::Failed)
}

/// The folders of this process. They are checked once.
pub fn cache(subject: &Subject) -> &'static KernelCache {
    static CACHE: OnceLock<KernelCache> = OnceLock::new();
    CACHE.get_or_init(|| KernelCache::open(subject))
}

fn set(cache: &KernelCache) -> std::result::Result<(), String> {
    let read = catch_panic(|| CubeClRuntimeConfig::from_current_dir().override_from_env());
    let mut config = read.map_err(|reason| {
        let reason = reason.unwrap_or_else(|| "it cannot be read".into());
        format!(
            "cubecl.toml, or another configuration file of CubeCL, in this folder or one above it: {reason}; correct it or \
             remove it"
        )
    })?;
    config.streaming.max_streams = 1;
    if config.compilation.cache.is_none() {
        config.compilation.cache = cache.kernels.clone().map(CacheConfig::File);
    }
    if !sets_autotune_cache() {
        config.autotune.cache = CacheConfig::File(cache.autotune.clone());
    }
    CubeClRuntimeConfig::set(config);
    Ok(())
}

/// Whether the configuration file that CubeCL reads says where results of autotuning are kept. Their default is a place, too, so the
/// configuration that was read does not tell.
fn sets_autotune_cache() -> bool {
    let Ok(here) = std::env::current_dir() else { return false };
    let written = here.ancestors().find_map(written_in);
    let autotune = written.as_ref().and_then(|table| table.get("autotune"));
    autotune.is_some_and(|autotune| autotune.get("cache").is_some())
}

/// CubeCL's settings in a folder's configuration file, if it has one.
fn written_in(folder: &Path) -> Option<toml::Table> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok()?.parse::<toml::Table>().ok();
    let whole = CubeClRuntimeConfig::file_names().iter().find_map(|name| read(folder.join(name)));
    whole.or_else(|| {
        CubeClRuntimeConfig::section_file_names().iter().find_map(|(name, section)| {
            let mut table = read(folder.join(name))?;
            match table.remove(*section)? {
                toml::Value::Table(section) => Some(section),
                _ => None,
            }
        })
    })
}

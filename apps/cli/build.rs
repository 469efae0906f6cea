//! Fails the build with one message unless exactly one backend is selected, and tells the program which versions make its kernels.

use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let backends = ["FLEX", "NDARRAY", "WGPU", "VULKAN", "METAL", "CUDA"];
    let chosen = backends.iter().filter(|name| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some());
    if chosen.count() != 1 {
        println!(
            "cargo::error=choose exactly one backend: flex (the default), ndarray, wgpu, vulkan, metal or cuda; for any but \
             flex: cargo build --release --no-default-features --features BACKEND"
        );
    }
    println!("cargo::rustc-env=QARE_KERNEL_VERSIONS={}", kernel_versions());
}

/// Names the versions of all crates that make kernels: kernels that other versions have compiled may compute something else. In the
/// workspace, the text of our own kernels counts, too.
fn kernel_versions() -> String {
    // The workspace's file, or that of the published package.
    let lock = ["../../Cargo.lock", "Cargo.lock"].into_iter().find(|path| Path::new(path).is_file());
    let Some(lock) = lock else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        return format!("cubecl-0.x-{now:016x}");
    };
    println!("cargo::rerun-if-changed={lock}");
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let mut all = String::new();
    let mut cubecl = "0.x";
    let mut name = "";
    for line in text.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_suffix('"');
        if let Some(found) = value("name = \"") {
            name = found;
        } else if let Some(version) = value("version = \"")
            && ["burn", "cubecl", "cubek", "cudarc", "naga", "wgpu", "qare"].iter().any(|start| name.starts_with(start))
        {
            let _ = write!(all, "{name} {version} ");
            if name == "cubecl" {
                cubecl = version;
            }
        }
    }
    // Our own kernels change between versions.
    let kernels = "../../qare/cube/src/kernels";
    println!("cargo::rerun-if-changed={kernels}");
    let files = std::fs::read_dir(kernels).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    for file in files {
        all += &std::fs::read_to_string(file).unwrap_or_default();
    }
    // FNV-1a.
    let hash =
        all.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("cubecl-{cubecl}-{hash:016x}")
}

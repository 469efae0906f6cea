//! Tells the program whether exactly one backend was chosen, so that it can say so in one message.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(one_backend)");
    println!("cargo::rerun-if-changed=build.rs");
    let backends = ["FLEX", "NDARRAY", "WGPU", "VULKAN", "METAL", "CUDA"];
    let chosen = backends.iter().filter(|name| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some());
    if chosen.count() == 1 {
        println!("cargo::rustc-cfg=one_backend");
    }
}

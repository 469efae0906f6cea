//! Fails the build with one message unless exactly one backend is selected.

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
}

//! Growth of memory over many steps, and the peak memory of a process.

use qare_models::BackboneName;

use super::Bench;
use super::figure::Unit;
use super::trainer::{Trainer, Work};
use crate::backend::{Device, HOST, device_memory};
use crate::output::print_line;
use qare_lab::Result;
use qare_lab::methods::Method;

const BACKBONE: BackboneName = BackboneName::Conv4;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let (steps, images) = (bench.options.steps, bench.options.batches[0]);
    let network = bench.options.network(BACKBONE);
    let work = Work::new(Method::SparseclrQare, BACKBONE, images, bench.options.precision);
    let mut trainer = Trainer::new(&work, &bench.clock.device)?;
    // Warms up pools and caches.
    for _ in 0..(steps / 10).max(10) {
        trainer.step()?;
    }
    bench.clock.synchronize()?;
    let before = held(&bench.clock.device);
    for _ in 0..steps {
        trainer.step()?;
    }
    bench.clock.synchronize()?;
    let after = held(&bench.clock.device);
    if after.is_empty() {
        print_line("memory: skipped, this system does not report the memory of a process");
    }
    for ((kind, before), (_, after)) in before.into_iter().zip(after) {
        let key = |name: &str| format!("memory.{network}.B{images}.steps{steps}.{}{name}", kind.key());
        let label = format!("{} after {steps} steps of {network}, B = {images}", kind.name());
        bench.figures.number(key("held"), label, Unit::Bytes, after);
        let label = format!("growth of {} over {steps} steps", kind.name());
        bench.figures.number(key("growth"), label, Unit::Bytes, after - before);
    }
    Ok(())
}

/// The kind of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Device memory that tensors occupy; on the CPU backends, the process's resident memory.
    Held,
    /// Device memory that the allocator keeps for later tensors.
    Reserved,
}

impl Kind {
    fn key(self) -> &'static str {
        if self == Kind::Held { "" } else { "reserved_" }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Held if HOST => "resident memory",
            Kind::Held => "device memory in use",
            Kind::Reserved => "device memory reserved",
        }
    }
}

/// Bytes held now, by kind; empty if the system does not report them.
fn held(device: &Device) -> Vec<(Kind, f64)> {
    match device_memory(device) {
        Some(memory) => vec![(Kind::Held, memory.in_use as f64), (Kind::Reserved, memory.reserved as f64)],
        None => status("self", "VmRSS").map(|bytes| (Kind::Held, bytes)).into_iter().collect(),
    }
}

/// Peak memory of a running process so far, in bytes. Known on Linux only.
pub fn peak_of(process: u32) -> Option<f64> {
    status(&process.to_string(), "VmHWM")
}

/// Memory of a running process without files that it maps, which the system takes back when it needs to, in bytes. Known on Linux only.
pub fn without_files(process: u32) -> Option<f64> {
    let process = process.to_string();
    Some(status(&process, "RssAnon")? + status(&process, "RssShmem")?)
}

/// A field of `/proc/PROCESS/status`, converted from KiB to bytes.
fn status(process: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}

//! Events: their counts, the log and the summary.

use std::ffi::c_int;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::settings;
use crate::summary::Summary;

/// The summary is written at exit, and at synchronisations that are at least this far apart, for a process that is killed.
const SAVED_EVERY: Duration = Duration::from_millis(100);

/// Something that a program did.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A kernel was launched.
    Launch { kernel: &'a str, grid: [u32; 3], block: [u32; 3], shared: u32 },
    /// Bytes were copied from the host to the device. From pinned memory the device takes them itself; from other memory a driver copies
    /// them first, while the caller waits.
    Upload { bytes: usize, pinned: bool },
    /// Bytes were copied from the device to the host.
    Read(usize),
    /// Bytes were copied within the device.
    DeviceCopy(usize),
    /// Device memory was filled.
    Fill(usize),
    /// The host waited for work on the device.
    Wait(For),
    /// A stream will wait for an event. The host does not.
    StreamWait,
    /// Device memory was allocated.
    Allocation(usize),
    /// Device memory was freed.
    Release,
    /// Pinned host memory was allocated.
    PinnedAllocation(usize),
    /// A module was loaded.
    Module(usize),
    /// A tensor map was encoded.
    TensorMap(&'static str),
    /// A kernel was compiled.
    Compilation { kernel: &'a str, microseconds: u64 },
    /// A kernel does not compile.
    FailedCompilation { kernel: &'a str, message: &'a str },
    /// A call was refused.
    Refusal { call: &'static str, reason: &'a str },
}

/// What the host waited for.
#[derive(Clone, Copy, Debug)]
pub enum For {
    Event,
    Stream,
    Device,
}

impl Event<'_> {
    /// The name in the summary.
    fn kind(&self) -> &'static str {
        match self {
            Self::Launch { .. } => "launches",
            Self::Upload { .. } => "uploads",
            Self::Read(_) => "reads",
            Self::DeviceCopy(_) => "device_copies",
            Self::Fill(_) => "fills",
            Self::Wait(For::Event) => "event_synchronisations",
            Self::Wait(For::Stream) => "stream_synchronisations",
            Self::Wait(For::Device) => "device_synchronisations",
            Self::StreamWait => "stream_waits",
            Self::Allocation(_) => "allocations",
            Self::Release => "releases",
            Self::PinnedAllocation(_) => "pinned_allocations",
            Self::Module(_) => "modules",
            Self::TensorMap(_) => "tensor_maps",
            Self::Compilation { .. } => "compilations",
            Self::FailedCompilation { .. } => "failed_compilations",
            Self::Refusal { .. } => "refusals",
        }
    }
}

/// A line of the log.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch { kernel, grid: [x, y, z], block: [bx, by, bz], shared } => {
                write!(f, "launch {kernel} grid {x},{y},{z} block {bx},{by},{bz} shared {shared}")
            }
            Self::Upload { bytes, pinned } => write!(f, "upload {bytes}{}", if *pinned { " pinned" } else { "" }),
            Self::Read(bytes) => write!(f, "read {bytes}"),
            Self::DeviceCopy(bytes) => write!(f, "device-copy {bytes}"),
            Self::Fill(bytes) => write!(f, "fill {bytes}"),
            Self::Wait(For::Event) => write!(f, "synchronise event"),
            Self::Wait(For::Stream) => write!(f, "synchronise stream"),
            Self::Wait(For::Device) => write!(f, "synchronise device"),
            Self::StreamWait => write!(f, "stream-wait"),
            Self::Allocation(bytes) => write!(f, "allocate {bytes}"),
            Self::Release => write!(f, "release"),
            Self::PinnedAllocation(bytes) => write!(f, "allocate-pinned {bytes}"),
            Self::Module(bytes) => write!(f, "module {bytes}"),
            Self::TensorMap(mode) => write!(f, "tensor-map {mode}"),
            Self::Compilation { kernel, microseconds } => write!(f, "compile {kernel} {microseconds} us"),
            Self::FailedCompilation { kernel, message } => write!(f, "does-not-compile {kernel}: {message}"),
            Self::Refusal { call, reason } => write!(f, "refuse {call}: {reason}"),
        }
    }
}

/// All events so far.
struct Journal {
    summary: Summary,
    log: Option<BufWriter<File>>,
    started: Instant,
    saved: Instant,
}

fn journal() -> MutexGuard<'static, Journal> {
    static JOURNAL: OnceLock<Mutex<Journal>> = OnceLock::new();
    let open = || {
        let log = settings().ok().and_then(|settings| settings.log.as_deref()).and_then(open);
        let now = Instant::now();
        Mutex::new(Journal { summary: Summary::default(), log, started: now, saved: now })
    };
    // A panic elsewhere leaves the counts as they are.
    JOURNAL.get_or_init(open).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the log.
fn open(path: &Path) -> Option<BufWriter<File>> {
    let opened = File::create(path).map_err(|error| eprintln!("dry-cuda: cannot write {}: {error}", path.display()));
    Some(BufWriter::with_capacity(1 << 16, opened.ok()?))
}

/// Counts an event, and writes it to the log. What failed also goes to the standard error.
pub fn record(event: Event<'_>) {
    let mut journal = journal();
    let Journal { summary, log, started, .. } = &mut *journal;
    summary.add("counts", event.kind(), 1);
    match event {
        Event::Launch { kernel, .. } => summary.add("kernels", kernel, 1),
        Event::Upload { bytes, pinned } => {
            summary.add(
                "counts",
                if pinned { "pinned_uploaded_bytes" } else { "pageable_uploaded_bytes" },
                bytes as u64,
            );
            summary.add("upload_sizes", &bytes.to_string(), 1);
        }
        Event::Read(bytes) => {
            summary.add("counts", "read_bytes", bytes as u64);
            summary.add("read_sizes", &bytes.to_string(), 1);
        }
        Event::Compilation { microseconds, .. } => summary.add("counts", "compilation_microseconds", microseconds),
        Event::FailedCompilation { kernel, message } => {
            summary.add("failures", &format!("{kernel}: {message}"), 1);
            eprintln!("dry-cuda: the kernel {kernel} does not compile: {message}");
        }
        Event::Refusal { call, reason } => {
            summary.add("failures", &format!("{call}: {reason}"), 1);
            eprintln!("dry-cuda: {call} is refused: {reason}");
        }
        _ => {}
    }
    if let Some(log) = log {
        // A full disk loses the log, not the run.
        let _ = writeln!(log, "{:.6} {event}", started.elapsed().as_secs_f64());
    }
    let waits = matches!(event, Event::Wait(_) | Event::Refusal { .. });
    if waits && journal.saved.elapsed() >= SAVED_EVERY {
        journal.save();
    }
}

/// The totals so far.
pub fn totals() -> Summary {
    journal().summary.clone()
}

/// Writes log and summary when the process exits, which runs no destructors of Rust's statics.
pub fn save_at_exit() {
    unsafe extern "C" {
        fn atexit(call: extern "C" fn()) -> c_int;
    }
    extern "C" fn save() {
        journal().save();
    }
    static REGISTERED: OnceLock<()> = OnceLock::new();
    // SAFETY: the function takes nothing, does not unwind, and lives as long as this library, which is never unloaded: a loader of
    // the driver keeps it to the end.
    REGISTERED.get_or_init(|| unsafe {
        atexit(save);
    });
}

impl Journal {
    fn save(&mut self) {
        self.saved = Instant::now();
        if let Some(log) = &mut self.log {
            let _ = log.flush();
        }
        let Some(path) = settings().ok().and_then(|settings| settings.summary.as_deref()) else { return };
        // The file appears whole, under its name, or not at all.
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let saved = std::fs::write(&part, self.summary.to_json()).and_then(|()| std::fs::rename(&part, path));
        if let Err(error) = saved {
            eprintln!("dry-cuda: cannot write {}: {error}", path.display());
        }
    }
}

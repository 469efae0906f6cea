//! Every target reads its corpus and changed files of it, within its limit of memory. The changes are the same in every run.
//!
//! `QARE_FUZZ_ROUNDS` and `QARE_FUZZ_SEED` in the environment choose other changes. A file that fails is kept in the build folder. Once
//! the fault is corrected, the file belongs into the corpus.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use qare_fuzz_harness::mutation::Mutator;
use qare_fuzz_harness::{TARGETS, Target, leave_decoders_alone};

/// Counts the bytes that are in use.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn taken(bytes: usize) {
    MOST.fetch_max(USED.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

// SAFETY: all calls go to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block exist at the same time while the bytes are copied.
        taken(size);
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Targets run one at a time, because the memory of the whole process is counted.
static ALONE: Mutex<()> = Mutex::new(());

/// No file takes nearly as long. The time decides only how soon a target without end is reported.
const PATIENCE: Duration = Duration::from_secs(300);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The files of a target, by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Keeps a file that fails, and returns its path.
fn kept(target: &Target, what: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{what}", target.name));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Ends the process if reading a file has no end, and keeps that file.
fn watch(target: Target) -> Sender<Option<(String, Vec<u8>)>> {
    let (now, next) = channel();
    thread::spawn(move || {
        let mut reading: Option<(String, Vec<u8>)> = None;
        loop {
            match next.recv_timeout(PATIENCE) {
                Ok(other) => reading = other,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some((what, bytes)) = &reading {
                        eprintln!("{}, {what}: no end, kept as {}", target.name, kept(&target, what, bytes).display());
                        std::process::exit(1);
                    }
                }
            }
        }
    });
    now
}

fn search(name: &str, rounds: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    leave_decoders_alone();
    let target = *TARGETS.iter().find(|target| target.name == name).unwrap();
    let (rounds, seed) = (number("QARE_FUZZ_ROUNDS").unwrap_or(rounds), number("QARE_FUZZ_SEED").unwrap_or(1));
    let watcher = watch(target);
    let files = corpus(&target);
    let mut mutator = Mutator::new(seed);
    let contents: Vec<Vec<u8>> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
    let made = (0..rounds).map(|round| (format!("seed-{seed}-round-{round}"), mutator.next(&contents)));
    let (mut most, mut count) = ((0, 0), 0);
    for (what, bytes) in files.into_iter().chain(made) {
        watcher.send(Some((what.clone(), bytes.clone()))).unwrap();
        let before = USED.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| (target.read)(&bytes)));
        let memory = MOST.load(Ordering::Relaxed) - before;
        if result.is_err() {
            panic!("{name}, {what}: it panics, kept as {}", kept(&target, &what, &bytes).display());
        }
        let allowed = (target.memory)(bytes.len());
        if memory > allowed {
            let path = kept(&target, &what, &bytes);
            panic!(
                "{name}, {what}: {memory} bytes of memory for a file of {}, kept as {}",
                bytes.len(),
                path.display()
            );
        }
        most = most.max((memory, bytes.len()));
        count += 1;
    }
    println!("{name}: {count} files, at most {} bytes of memory, for one of {}", most.0, most.1);
}

// The numbers of rounds take a few seconds each.

#[test]
fn weights() {
    search("weights", 4000);
}

#[test]
fn pickles() {
    search("pickles", 4000);
}

#[test]
fn cifar() {
    search("cifar", 4000);
}

#[test]
fn images() {
    search("images", 4000);
}

#[test]
fn archives() {
    search("archives", 2000);
}

#[test]
fn matfiles() {
    search("matfiles", 4000);
}

#[test]
fn recipes() {
    search("recipes", 4000);
}

//! Burn's dashboard, with its rougher edges taken off.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use burn_train::Interrupter;
use burn_train::renderer::tui::TuiMetricsRendererWrapper;

/// Somebody chose to kill the training, in the dashboard's menu.
pub struct Killed;

/// What burn-train panics with then.
const KILL: &str = "Killing training from user input";

static KILLED: AtomicBool = AtomicBool::new(false);

/// The dashboard of a run that goes on after `epochs_done` epochs.
pub fn open(interrupter: Interrupter, epochs_done: usize) -> TuiMetricsRendererWrapper {
    let dashboard = TuiMetricsRendererWrapper::new(interrupter, (epochs_done > 0).then_some(epochs_done));
    #[cfg(target_os = "linux")]
    yield_to_training();
    dashboard
}

/// Gives the dashboard's thread the lowest priority. It polls without a pause, and on a machine with few cores would
/// take one of them from training.
#[cfg(target_os = "linux")]
fn yield_to_training() {
    // The thread names itself, once it runs.
    for _ in 0..100 {
        if let Some(id) = renderer_thread() {
            // SAFETY: takes three numbers; at worst it fails, and the thread stays as it is.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, id, 19) };
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The system's number of the thread that draws.
#[cfg(target_os = "linux")]
fn renderer_thread() -> Option<libc::id_t> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let named = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "train-renderer")
    };
    threads.filter(|thread| named(&thread.path())).find_map(|thread| thread.file_name().to_str()?.parse().ok())
}

/// Runs a training. Killing it from the dashboard is a panic of burn-train's in one thread, and of whatever then misses
/// that thread: those are kept quiet, and told from panics of any other kind.
pub fn until_killed<R>(training: impl FnOnce() -> R) -> Result<R, Killed> {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.contains(KILL)) {
            KILLED.store(true, Ordering::SeqCst);
        }
        if !KILLED.load(Ordering::SeqCst) {
            report(panic);
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(training));
    result.map_err(|panic| match KILLED.load(Ordering::SeqCst) {
        true => Killed,
        false => resume_unwind(panic),
    })
}

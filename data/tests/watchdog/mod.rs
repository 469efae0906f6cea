//! Ends a test that hangs.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// No test takes nearly as long, even on the slowest machine. The time decides only how soon a deadlock is reported.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does the work on another thread, and fails if the work neither returns nor panics.
pub fn watched<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = channel();
    let worker = thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        panic!("{what}: a deadlock, after {PATIENCE:?}");
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

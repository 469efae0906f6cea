//! Threads that work ahead: results in a fixed order, a bounded number of them at a time.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Computes `job(0)`, `job(1)`, … on threads of its own and hands the results out in this order.
///
/// At most `workers + 1` results are finished or in work and not yet taken. Dropping it stops the threads and waits for them.
#[derive(Debug)]
pub(crate) struct Prefetch<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Told when a result is taken or everything ends: there may be work.
    room: Condvar,
    /// Told when a result is there.
    ready: Condvar,
    stop: AtomicBool,
    jobs: usize,
    ahead: usize,
}

#[derive(Debug)]
struct State<T> {
    /// The next job nobody has begun.
    next_job: usize,
    /// The next result to hand out.
    next_result: usize,
    /// Results, or what their job panicked with.
    results: BTreeMap<usize, Result<T, Panic>>,
}

type Panic = Box<dyn Any + Send>;

impl<T: Send + 'static> Prefetch<T> {
    /// Starts the threads. A job is handed a check that says whether its result is still wanted; it may return `None` once
    /// it is not.
    pub fn start<F>(jobs: usize, workers: usize, job: F) -> Self
    where
        F: Fn(usize, &dyn Fn() -> bool) -> Option<T> + Send + Sync + 'static,
    {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { next_job: 0, next_result: 0, results: BTreeMap::new() }),
            room: Condvar::new(),
            ready: Condvar::new(),
            stop: AtomicBool::new(false),
            jobs,
            ahead: workers.saturating_add(1),
        });
        let job = Arc::new(job);
        let threads = (0..workers.min(jobs))
            .map(|_| {
                let (shared, job) = (shared.clone(), job.clone());
                thread::spawn(move || shared.work(&*job))
            })
            .collect();
        Self { shared, threads }
    }

    /// Waits for the next result; `None` after the last one.
    ///
    /// # Panics
    /// With the panic of the job, if that panicked.
    pub fn next(&mut self) -> Option<T> {
        let mut state = self.shared.lock();
        let number = state.next_result;
        if number == self.shared.jobs {
            return None;
        }
        loop {
            if let Some(result) = state.results.remove(&number) {
                state.next_result += 1;
                drop(state);
                self.shared.room.notify_one();
                return match result {
                    Ok(result) => Some(result),
                    Err(panic) => resume_unwind(panic),
                };
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Shared<T> {
    /// No code that may panic runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn work(&self, job: impl Fn(usize, &dyn Fn() -> bool) -> Option<T>) {
        while let Some(number) = self.claim() {
            let result = match catch_unwind(AssertUnwindSafe(|| job(number, &|| self.stopped()))) {
                Ok(Some(result)) => Ok(result),
                Ok(None) => return,
                Err(panic) => Err(panic),
            };
            self.lock().results.insert(number, result);
            self.ready.notify_one();
        }
    }

    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if self.stopped() || state.next_job == self.jobs {
                return None;
            }
            if state.next_job < state.next_result + self.ahead {
                state.next_job += 1;
                return Some(state.next_job - 1);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        {
            // Under the lock, so that no thread misses it between its check and its wait.
            let _state = self.shared.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of jobs are caught and handed out with their result.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;

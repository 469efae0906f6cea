use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::Prefetch;

/// Far more than any of these tests takes on the slowest machine: it decides nothing but how soon a deadlock is told.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does the work on another thread, and fails if it neither returns nor panics.
fn watched(work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        panic!("a deadlock, after {PATIENCE:?}");
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A wait that depends on numbers, and is mostly none: up to a third of a millisecond.
fn dawdle(seed: usize, number: usize) {
    let mixed =
        (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03);
    match (mixed >> 32) % 8 {
        0..4 => {}
        4..7 => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros((mixed >> 40) % 300)),
    }
}

/// Counts what there is of it.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn results_come_in_order_whoever_is_slow() {
    watched(|| {
        for (workers, seed) in [1, 2, 3, 8].into_iter().flat_map(|workers| (0..6).map(move |seed| (workers, seed))) {
            for slow_consumer in [false, true] {
                let mut prefetch = Prefetch::start(60, workers, move |number, _| {
                    // Later jobs are often done before earlier ones.
                    dawdle(seed, number);
                    Some(number)
                });
                for expected in 0..60 {
                    if slow_consumer {
                        dawdle(seed + 100, expected);
                    }
                    assert_eq!(prefetch.next(), Some(expected));
                }
                assert_eq!((prefetch.next(), prefetch.next()), (None, None));
            }
        }
    });
}

/// Never more than the workers' number and one, of results that are finished or in work and not taken, however slow the consumer is.
#[test]
fn no_more_than_a_few_are_begun_ahead() {
    watched(|| {
        for workers in [1, 2, 5] {
            let (there, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (counter, peak) = (there.clone(), most.clone());
            let mut prefetch = Prefetch::start(200, workers, move |number, _| {
                let counted = Counted::new(&counter);
                peak.fetch_max(counter.load(Ordering::SeqCst), Ordering::SeqCst);
                dawdle(1, number);
                Some(counted)
            });
            for number in 0..200 {
                // Results are dropped after the workers were told that one is taken, so there may be that one besides.
                drop(prefetch.next().unwrap());
                dawdle(2, number);
            }
            assert!((1..=workers + 2).contains(&most.load(Ordering::SeqCst)), "{workers} workers: {most:?}");
            assert_eq!(there.load(Ordering::SeqCst), 0);
        }
    });
}

/// Without a consumer, everything ahead is done and nothing more: it waits.
#[test]
fn workers_wait_for_a_consumer_that_does_not_come() {
    watched(|| {
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = begun.clone();
        let (all_ahead, ahead) = channel();
        let mut prefetch = Prefetch::start(50, 3, move |number, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            all_ahead.send(()).unwrap();
            Some(number)
        });
        (0..4).for_each(|_| ahead.recv().unwrap());
        // A fifth would have time enough to be begun.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(begun.load(Ordering::SeqCst), 4);
        assert!((0..50).all(|number| prefetch.next() == Some(number)));
        assert_eq!(begun.load(Ordering::SeqCst), 50);
    });
}

/// Jobs that end only when they are told that nobody wants them: that dropping returns is the test.
#[test]
fn dropping_stops_jobs_in_the_middle() {
    watched(|| {
        for workers in [1, 2, 4] {
            for taken in 0..4 {
                let mut prefetch = Prefetch::start(10, workers, move |number, unwanted| {
                    while number >= taken && !unwanted() {
                        thread::yield_now();
                    }
                    (number < taken).then_some(number)
                });
                assert!((0..taken).all(|number| prefetch.next() == Some(number)));
                drop(prefetch);
            }
        }
    });
}

#[test]
fn dropping_at_any_point_leaves_nothing_behind() {
    watched(|| {
        let there = Arc::new(AtomicUsize::new(0));
        for (workers, taken) in [1, 2, 3, 8].into_iter().flat_map(|workers| (0..=20).map(move |taken| (workers, taken)))
        {
            let counter = there.clone();
            let mut prefetch = Prefetch::start(20, workers, move |number, unwanted| {
                dawdle(workers, number);
                (!unwanted()).then(|| Counted::new(&counter))
            });
            for number in 0..taken {
                dawdle(taken, number);
                assert!(prefetch.next().is_some());
            }
            drop(prefetch);
            // Results that nobody took are gone with it, and so are the workers, who hold the counter.
            assert_eq!(there.load(Ordering::SeqCst), 0, "{workers} workers, {taken} taken");
            assert_eq!(Arc::strong_count(&there), 1, "{workers} workers, {taken} taken");
        }
    });
}

#[test]
fn a_panic_comes_in_its_place_and_the_others_in_theirs() {
    watched(|| {
        for (workers, bad) in [1, 2, 4].into_iter().flat_map(|workers| [0, 1, 7, 11].map(|bad| (workers, bad))) {
            let mut prefetch = Prefetch::start(12, workers, move |number, _| {
                dawdle(bad, number);
                assert!(number != bad, "job {number} fails");
                Some(number)
            });
            for number in 0..12 {
                let result = catch_unwind(AssertUnwindSafe(|| prefetch.next()));
                match result {
                    Ok(result) => assert!(number != bad && result == Some(number)),
                    Err(panic) => {
                        let text = panic.downcast_ref::<String>().expect("the job's own words");
                        assert!(number == bad && *text == format!("job {bad} fails"), "{number}: {text}");
                    }
                }
            }
            assert!(prefetch.next().is_none());
        }
    });
}

/// Every job panics, and the consumer leaves in the middle.
#[test]
fn panics_that_nobody_asks_for_are_in_nobodys_way() {
    watched(|| {
        for taken in 0..5 {
            let mut prefetch = Prefetch::<()>::start(5, 3, |number, _| panic!("job {number} fails"));
            for _ in 0..taken {
                assert!(catch_unwind(AssertUnwindSafe(|| prefetch.next())).is_err());
            }
            drop(prefetch);
        }
    });
}

#[test]
fn many_at_once_keep_their_order() {
    watched(|| {
        thread::scope(|scope| {
            for seed in 0..16 {
                scope.spawn(move || {
                    let mut prefetch = Prefetch::start(40, 1 + seed % 4, move |number, _| {
                        dawdle(seed, number);
                        Some(seed * 1000 + number)
                    });
                    for number in 0..40 {
                        dawdle(seed + 50, number);
                        assert_eq!(prefetch.next(), Some(seed * 1000 + number));
                    }
                });
            }
        });
    });
}

#[test]
fn no_jobs_and_more_workers_than_jobs() {
    watched(|| {
        for workers in [0, 1, 9] {
            assert_eq!(Prefetch::start(0, workers, |number, _| Some(number)).next(), None);
        }
        let mut prefetch = Prefetch::start(2, 9, |number, _| Some(number));
        assert_eq!([prefetch.next(), prefetch.next(), prefetch.next()], [Some(0), Some(1), None]);
    });
}

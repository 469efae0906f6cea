//! Loaders that many threads use at once, that are left in the middle, or that are consumed slowly. They give the same batches, and no
//! thread waits for ever.

mod watchdog;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use burn::data::dataloader::DataLoader;
use burn_flex::{Flex, FlexDevice};
use qare_data::{Augmentation, EpochCursor, ImageSet, LoaderConfig, Normalization, ViewBatch, ViewLoader};
use watchdog::watched;

const IMAGES: usize = 45;

fn loader(workers: usize, epoch: u64) -> ViewLoader<Flex> {
    let side = 8;
    let pixels = (0..IMAGES * 3 * side * side).map(|place| (place * 31 + place / 192 * 17) as u8).collect();
    let labels = (0..IMAGES).map(|index| (index % 2) as u16).collect();
    let images = ImageSet::new(pixels, labels, side, vec!["even".into(), "odd".into()]).unwrap();
    let config = LoaderConfig {
        batch_size: 4,
        views: 2,
        seed: 7,
        workers,
        shuffle: true,
        drop_last: false,
        augmentation: Augmentation::Contrastive,
        normalization: Normalization { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
    };
    let cursor = EpochCursor::default();
    cursor.set(epoch);
    ViewLoader::new(images, config, cursor, &FlexDevice).unwrap()
}

/// The images and values of a batch, for comparisons bit by bit.
fn content(batch: ViewBatch<Flex>) -> (Vec<usize>, Vec<u32>) {
    (batch.indices, batch.images.into_data().iter::<f32>().map(f32::to_bits).collect())
}

/// The batches of an epoch, made by the thread that asks for them.
fn expected(epoch: u64) -> Vec<(Vec<usize>, Vec<u32>)> {
    loader(0, epoch).iter().map(content).collect()
}

/// Waits for up to half a millisecond, and mostly not at all.
fn dawdle(seed: usize, number: usize) {
    let mixed = (seed as u64 * 1000 + number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if mixed >> 62 == 0 {
        thread::sleep(Duration::from_micros((mixed >> 40) % 500));
    }
}

#[test]
fn a_slow_consumer_gets_the_same_batches() {
    watched("a slow consumer", || {
        let expected = expected(3);
        for workers in [1, 2, 5] {
            let loader = loader(workers, 3);
            for (number, batch) in loader.iter().enumerate() {
                thread::sleep(Duration::from_millis(2));
                assert_eq!(content(batch), expected[number], "{workers} workers");
            }
        }
    });
}

#[test]
fn many_loaders_at_once_do_not_mix() {
    watched("many loaders", || {
        let expected: Arc<Vec<_>> = Arc::new((0..4).map(expected).collect());
        thread::scope(|scope| {
            for number in 0..12 {
                let expected = expected.clone();
                scope.spawn(move || {
                    let epoch = number as u64 % 4;
                    let loader = loader(number % 5, epoch);
                    for _ in 0..3 {
                        let mut batches = 0;
                        for (place, batch) in loader.iter().enumerate() {
                            dawdle(number, place);
                            assert_eq!(content(batch), expected[epoch as usize][place], "loader {number}");
                            batches += 1;
                        }
                        assert_eq!(batches, IMAGES.div_ceil(4));
                    }
                });
            }
        });
    });
}

/// Several threads iterate over one loader, and some of them leave in the middle.
#[test]
fn iterations_that_are_left_do_not_disturb_others() {
    watched("iterations that are left", || {
        let expected = Arc::new(expected(1));
        for workers in [1, 3] {
            let loader = Arc::new(loader(workers, 1));
            thread::scope(|scope| {
                for number in 0..10 {
                    let (loader, expected) = (loader.clone(), expected.clone());
                    scope.spawn(move || {
                        let end = if number % 2 == 0 { expected.len() } else { number };
                        let mut batches = loader.iter();
                        for (place, expected) in expected[..end].iter().enumerate() {
                            dawdle(number, place);
                            assert_eq!(content(batches.next().unwrap()), *expected);
                        }
                        assert!(end < expected.len() || batches.next().is_none());
                    });
                }
            });
        }
    });
}

/// Dropping an iteration ends its workers. Without that, so many iterations would exceed the limit below.
#[test]
fn iterations_begun_and_left_leave_no_threads() {
    watched("iterations that are begun", || {
        let loader = loader(8, 0);
        let first = &expected(0)[0];
        for number in 0..300 {
            let mut batches = loader.iter();
            if number % 3 == 0 {
                assert_eq!(content(batches.next().unwrap()), *first);
            }
        }
        #[cfg(target_os = "linux")]
        {
            let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
            // These are the threads of this test, of the tests that run at the same time, and of rayon.
            assert!(threads < 200, "{threads} threads");
        }
    });
}

/// The consuming thread panics while the workers are busy. Unwinding drops the iteration, which waits for the workers.
#[test]
fn a_consumer_that_panics_leaves_a_loader_that_works() {
    watched("a consumer that panics", || {
        let loader = Arc::new(loader(3, 2));
        for taken in 0..4 {
            let other = loader.clone();
            let consumer = thread::spawn(move || {
                let mut batches = other.iter();
                (0..taken).for_each(|_| drop(batches.next()));
                std::panic::panic_any("out of memory");
            });
            assert_eq!(consumer.join().unwrap_err().downcast_ref::<&str>(), Some(&"out of memory"));
            let found: Vec<_> = loader.iter().map(content).collect();
            assert_eq!(found, expected(2));
        }
    });
}

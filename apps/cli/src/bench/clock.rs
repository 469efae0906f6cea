//! Times work: one warm-up run, then as many runs as the budget allows.

use std::time::{Duration, Instant};

use burn::tensor::backend::Backend;

use crate::backend::{Device, HOST, Training};
use qare_lab::{LabError, Result};

/// Seconds from which a run needs no warm-up: the extra cost of a first run is small beside it.
const LONG_RUN: f64 = 10.0;
/// Whether the first run compiles and autotunes kernels, so that its time is not representative.
const COMPILES: bool = !HOST;
const MOST_RUNS: usize = 1000;

/// Times work. Synchronises the device before it reads the clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Budget in seconds for the runs of one figure.
    pub seconds: f64,
    /// Least number of runs, however long they take.
    pub least: usize,
    pub device: Device,
}

impl Clock {
    /// Returns the seconds of each run.
    pub fn measure(&self, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
        Ok(self.measure_in_turn(&mut [&mut work])?.remove(0))
    }

    /// Returns the seconds of each run, for several pieces of work.
    ///
    /// The runs are interleaved, so that a change of the machine's speed affects all of them alike.
    pub fn measure_in_turn(&self, works: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<Vec<Vec<f64>>> {
        if COMPILES {
            works.iter_mut().try_for_each(|work| work())?;
        }
        let first = works.iter_mut().map(|work| self.once(&mut **work)).collect::<Result<Vec<_>>>()?;
        if first.iter().any(|seconds| *seconds >= LONG_RUN) {
            return Ok(first.into_iter().map(|seconds| vec![seconds]).collect());
        }
        let budget = Duration::from_secs_f64(self.seconds * works.len() as f64);
        let (started, mut runs) = (Instant::now(), vec![Vec::new(); works.len()]);
        while runs[0].len() < self.least || (started.elapsed() < budget && runs[0].len() < MOST_RUNS) {
            for (work, times) in works.iter_mut().zip(&mut runs) {
                times.push(self.once(&mut **work)?);
            }
        }
        Ok(runs)
    }

    /// Returns the seconds of one run.
    pub fn once(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
        self.synchronize()?;
        let started = Instant::now();
        work()?;
        self.synchronize()?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Waits until the device has finished all queued operations.
    pub fn synchronize(&self) -> Result<()> {
        Training::sync(&self.device).map_err(|error| LabError::Failed(format!("the device failed: {error:?}")))
    }
}

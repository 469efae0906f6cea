//! Measuring: one run to warm up, then as many as the time allows.

use std::time::{Duration, Instant};

use burn::tensor::backend::Backend;

use crate::backend::{Device, HOST, Training};
use qare_lab::{LabError, Result};

/// A run this long needs no warm-up: what a first run costs more is small beside it.
const LONG: f64 = 10.0;
/// Whether a first run compiles kernels and tries them out, so that it tells nothing of the next.
const COMPILES: bool = !HOST;
const MOST_RUNS: usize = 1000;

/// Times pieces of work. The device has finished before the clock is read.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Time for the runs of one figure.
    pub seconds: f64,
    /// Runs that are made whatever they take.
    pub least: usize,
    pub device: Device,
}

impl Clock {
    /// The seconds of each run.
    pub fn measure(&self, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
        Ok(self.measure_in_turn(&mut [&mut work])?.remove(0))
    }

    /// The seconds of each run of several pieces of work. Their runs take turns, so that a change of the machine's speed
    /// meets all of them.
    pub fn measure_in_turn(&self, works: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<Vec<Vec<f64>>> {
        if COMPILES {
            works.iter_mut().try_for_each(|work| work())?;
        }
        let first = works.iter_mut().map(|work| self.once(&mut **work)).collect::<Result<Vec<_>>>()?;
        if first.iter().any(|seconds| *seconds >= LONG) {
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

    /// The seconds of one run.
    pub fn once(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
        self.synchronize()?;
        let started = Instant::now();
        work()?;
        self.synchronize()?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Waits until the device has done all that it was given.
    pub fn synchronize(&self) -> Result<()> {
        Training::sync(&self.device).map_err(|error| LabError::Failed(format!("the device failed: {error:?}")))
    }
}

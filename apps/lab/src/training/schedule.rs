//! The learning rate schedule: constant, or step decay.

use burn::lr_scheduler::LrScheduler;
use burn::optim::LearningRate;
use burn::tensor::backend::Backend;

/// A learning rate that is divided by ten at certain steps.
#[derive(Clone, Debug)]
pub struct StepDecay {
    rate: LearningRate,
    /// Steps, counted from 0, at which the rate is divided by ten.
    drops: Vec<usize>,
    /// The next step.
    step: usize,
}

impl StepDecay {
    /// Creates a schedule for `epochs` epochs of `steps` steps each, in which the rate drops after these fractions of the epochs,
    /// rounded down. The first step is that after `epochs_done` epochs.
    pub fn new(rate: LearningRate, fractions: &[f64], epochs: usize, steps: usize, epochs_done: usize) -> Self {
        let drops = fractions.iter().map(|fraction| (fraction * epochs as f64) as usize);
        // With few epochs a fraction rounds to 0. The rate does not drop before the first epoch.
        let drops = drops.filter(|epoch| *epoch > 0).map(|epoch| epoch * steps).collect();
        Self { rate, drops, step: epochs_done * steps }
    }

    /// Returns the learning rate of a step, counted from 0.
    pub fn at(&self, step: usize) -> LearningRate {
        let drops = self.drops.iter().filter(|drop| step >= **drop).count();
        self.rate * 0.1f64.powi(drops as i32)
    }
}

impl LrScheduler for StepDecay {
    type Record<B: Backend> = usize;

    fn step(&mut self) -> LearningRate {
        self.step += 1;
        self.at(self.step - 1)
    }

    fn to_record<B: Backend>(&self) -> usize {
        self.step
    }

    fn load_record<B: Backend>(self, step: usize) -> Self {
        Self { step, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_drops_at_the_fractions_and_resumes() {
        let rates = |from: usize, steps: usize| {
            let mut schedule = StepDecay::new(0.1, &[0.5, 0.75], 5, 3, from);
            (0..steps).map(|_| schedule.step()).collect::<Vec<f64>>()
        };
        let all = rates(0, 15);
        let expected = [[0.1; 3], [0.1; 3], [0.01; 3], [0.001; 3], [0.001; 3]].concat();
        assert!(all.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{all:?}");
        assert_eq!(rates(3, 6), all[9..]);
        assert_eq!(StepDecay::new(0.1, &[0.5, 0.75], 1, 3, 0).at(2), 0.1);
        assert!(StepDecay::new(1e-3, &[], 9, 4, 0).at(1000) == 1e-3);
    }
}

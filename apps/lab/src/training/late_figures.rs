//! The figures of steps, read from the device late.

use std::time::{Duration, Instant};

use burn::tensor::backend::Backend;

use super::step::{Figures, StepFigures, read_all};

/// Figures are read after this number of steps. Views of so many steps may wait for the device, in its memory.
const STEPS: usize = 16;
/// Figures are read at least this often, so that progress is seen.
const INTERVAL: Duration = Duration::from_millis(250);

/// Steps whose figures have not been read. Reading the figures of a step waits until the device has computed it, and meanwhile the
/// device gets no work. So the figures of several steps are read at once.
pub(super) struct LateFigures<B: Backend, T> {
    waiting: Vec<(Figures<B>, T)>,
    /// Whether to read after every step, which costs nothing where tensors are in host memory.
    at_once: bool,
    last_read: Instant,
}

impl<B: Backend, T> LateFigures<B, T> {
    /// Creates an empty list.
    pub fn new(at_once: bool) -> Self {
        Self { waiting: Vec::new(), at_once, last_read: Instant::now() }
    }

    /// Adds the figures of a step, with what else belongs to it.
    pub fn push(&mut self, figures: Figures<B>, with: T) {
        self.waiting.push((figures, with));
    }

    /// Whether it is time to read.
    pub fn are_due(&self) -> bool {
        self.at_once || self.waiting.len() >= STEPS || self.last_read.elapsed() >= INTERVAL
    }

    /// Reads the figures of all steps, in their order. The speed of each is that of all of them together.
    pub fn read(&mut self) -> Vec<(StepFigures, T)> {
        let (figures, with): (Vec<_>, Vec<_>) = self.waiting.drain(..).unzip();
        let figures = read_all(figures);
        let now = Instant::now();
        let seconds = (now - std::mem::replace(&mut self.last_read, now)).as_secs_f64();
        let views_per_second = figures.iter().map(|figures| figures.views).sum::<usize>() as f64 / seconds;
        figures.into_iter().map(|figures| StepFigures { views_per_second, ..figures }).zip(with).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::test_backend::{Plain, any_device};

    fn step(values: &[f32], weight: f64) -> Figures<Plain> {
        Figures::OnDevice { values: Tensor::from_floats(values, &any_device()), weight, views: values.len() }
    }

    #[test]
    fn figures_are_read_together_and_in_order() {
        let mut late = LateFigures::new(false);
        late.push(step(&[1.0, 2.0, 3.0], 0.5), "first");
        late.push(Figures::Read(StepFigures { loss: 7.0, views: 9, ..Default::default() }), "second");
        late.push(step(&[4.0, f32::NAN], 1.0), "third");
        let read = late.read();
        let of = |at: usize| (read[at].0.loss, read[at].0.views, read[at].1);
        assert_eq!([of(0), of(1), of(2)], [(0.5, 3, "first"), (7.0, 9, "second"), (4.0, 2, "third")]);
        assert_eq!(read[0].0.method, [1.0, 1.5]);
        assert!(read[1].0.method.is_empty() && read[2].0.method[0].is_nan());
        assert!(read.iter().all(|(figures, _)| figures.views_per_second == read[0].0.views_per_second));
        assert!(late.read().is_empty());
    }

    #[test]
    fn figures_are_due_after_every_step_on_the_host_and_after_several_elsewhere() {
        let mut late = LateFigures::new(true);
        assert!(late.are_due());
        late = LateFigures::new(false);
        for _ in 0..STEPS {
            late.last_read = Instant::now();
            assert!(!late.are_due());
            late.push(step(&[0.0], 1.0), "");
        }
        assert!(late.are_due());
        late.read();
        late.last_read = Instant::now() - INTERVAL;
        assert!(late.are_due());
    }
}

//! The figures of steps, read from the device late.

use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::step::{Figures, StepFigures, Unread, read_all};

/// Figures are read after this number of steps. Views of so many steps may wait for the device, in its memory.
const STEPS: usize = 16;
/// Figures are read at least this often, so that progress is seen.
const INTERVAL: Duration = Duration::from_millis(250);

/// Steps whose figures have not been read. Reading the figures of a step waits until the device has computed it, and meanwhile the
/// device gets no work. So the figures of several steps are read at once.
pub(super) struct LateFigures<B: Backend, T> {
    waiting: Vec<(Unread<B>, T)>,
    /// Whether to read after every step, which costs nothing where tensors are in host memory.
    at_once: bool,
    last_read: Instant,
}

impl<B: Backend, T> LateFigures<B, T> {
    /// Creates an empty list.
    pub fn new(at_once: bool) -> Self {
        Self { waiting: Vec::new(), at_once, last_read: Instant::now() }
    }

    /// Adds the figures of a step, in f16 whether its loss scale is exhausted, `[1]`, and what else belongs to the step.
    pub fn push(&mut self, figures: Figures<B>, exhausted: Option<Tensor<B, 1>>, with: T) {
        self.waiting.push(((figures, exhausted), with));
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
    use super::*;
    use crate::methods::Figure;
    use crate::test_backend::{Plain, any_device};

    fn step(values: &[f32], weight: f64) -> Figures<Plain> {
        Figures::OnDevice { values: Tensor::from_floats(values, &any_device()), weight, views: values.len() }
    }

    #[test]
    fn figures_are_read_together_and_in_order() {
        let mut late = LateFigures::new(false);
        late.push(step(&[1.0, 2.0, 3.0], 0.5), None, "first");
        late.push(Figures::Read(StepFigures { loss: 7.0, views: 9, ..Default::default() }), None, "second");
        late.push(step(&[4.0, f32::NAN], 1.0), None, "third");
        let read = late.read();
        let of = |at: usize| (read[at].0.loss, read[at].0.views, read[at].1);
        assert_eq!([of(0), of(1), of(2)], [(0.5, 3, "first"), (7.0, 9, "second"), (4.0, 2, "third")]);
        assert_eq!(read[0].0.method, [1.0, 1.5]);
        assert!(read[1].0.method.is_empty() && read[2].0.method[0].is_nan());
        assert!(read.iter().all(|(figures, _)| figures.views_per_second == read[0].0.views_per_second));
        assert!(late.read().is_empty());
    }

    /// The loss scale of a step is found exhausted, whether its figures are on the device or have been read from several devices.
    #[test]
    fn exhausted_loss_scales_come_with_the_figures_of_their_steps() {
        let flag = |value: f32| Some(Tensor::from_floats([value], &any_device()));
        let read = || Figures::Read(StepFigures { loss: 7.0, ..Default::default() });
        let mut late = LateFigures::new(false);
        late.push(step(&[1.0, 2.0], 0.5), flag(0.0), 1);
        late.push(read(), flag(1.0), 2);
        late.push(read(), flag(0.0), 3);
        late.push(step(&[3.0, 4.0], 1.0), flag(1.0), 4);
        late.push(step(&[1.0], 1.0), None, 5);
        let read = late.read();
        let found: Vec<_> =
            read.iter().map(|(figures, step)| (*step, figures.loss, figures.scale_is_exhausted)).collect();
        assert_eq!(found, [(1, 0.5, false), (2, 7.0, true), (3, 7.0, false), (4, 3.0, true), (5, 1.0, false)]);
        for (figures, _) in read {
            let names = vec![Figure::term("own"); figures.method.len()];
            assert_eq!(figures.check(&names).is_err(), figures.scale_is_exhausted);
        }
    }

    #[test]
    fn figures_are_due_after_every_step_on_the_host_and_after_several_elsewhere() {
        let mut late = LateFigures::new(true);
        assert!(late.are_due());
        late = LateFigures::new(false);
        for _ in 0..STEPS {
            late.last_read = Instant::now();
            assert!(!late.are_due());
            late.push(step(&[0.0], 1.0), None, "");
        }
        assert!(late.are_due());
        late.read();
        late.last_read = Instant::now() - INTERVAL;
        assert!(late.are_due());
    }
}

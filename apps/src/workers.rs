//! Training steps on several devices: a thread for each, which works on its share of the batch.
//!
//! Burn's own `MultiDevicesTrainStep` does nearly this. But it copies the model to a device outside of anything that catches a
//! panic, waits for ever for a thread that has ended so, and does not tell two threads on one device apart.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::backend::AutodiffBackend;
use burn_train::{TrainOutput, TrainStep};
use qare_data::ViewBatch;
use qare_models::replicas::{ReplicaError, ReplicaGroup};

use crate::model::PretextModel;
use crate::step::{StepFigures, StepOutput};

/// A step of one device: its part of gradients and figures.
type Part = Result<(GradientsParams, StepFigures), ReplicaError>;

/// The threads.
pub struct Workers<B: AutodiffBackend> {
    /// Where gradients are summed.
    main: B::Device,
    shares: Vec<Sender<(PretextModel<B>, ViewBatch<B>)>>,
    parts: Receiver<(usize, Part)>,
    threads: Vec<JoinHandle<()>>,
}

impl<B: AutodiffBackend> Workers<B> {
    /// A thread for each device, as the members of a group. The first device is the main one.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn start(group: &ReplicaGroup, devices: &[B::Device]) -> std::io::Result<Self> {
        let (done, parts) = channel();
        let (mut shares, mut threads) = (Vec::new(), Vec::new());
        for (rank, device) in devices.iter().enumerate() {
            let (share, work) = channel::<(PretextModel<B>, ViewBatch<B>)>();
            let (group, device, done) = (group.clone(), device.clone(), done.clone());
            let work = move || {
                while let Ok((model, share)) = work.recv() {
                    let part = group.enter(rank, || match model.fork(&device).step(share) {
                        TrainOutput { grads, item: StepOutput::Done(figures) } => Ok((grads, figures)),
                        TrainOutput { item: StepOutput::Failed(message), .. } => Err(message),
                    });
                    if done.send((rank, part)).is_err() {
                        return;
                    }
                }
            };
            threads.push(Builder::new().name(format!("device-{rank}")).spawn(work)?);
            shares.push(share);
        }
        Ok(Self { main: devices[0].clone(), shares, parts, threads })
    }

    /// A step with a share of the batch for each device. Parts are summed in the order of devices, whichever comes first.
    pub fn step(&self, model: &PretextModel<B>, shares: Vec<ViewBatch<B>>) -> TrainOutput<StepOutput> {
        for (device, share) in self.shares.iter().zip(shares) {
            device.send((model.clone(), share)).expect("the thread works until this is dropped");
        }
        let parts = self.shares.iter().map(|_| self.parts.recv().expect("a step that fails says so"));
        let mut parts: Vec<(usize, Part)> = parts.collect();
        parts.sort_by_key(|(rank, _)| *rank);

        let mut gradients = GradientsAccumulator::new();
        let mut sum = StepFigures::default();
        for (_, part) in parts {
            let (grads, figures) = match part {
                Ok(part) => part,
                Err(error) => {
                    let item = StepOutput::Failed(error.to_string());
                    return TrainOutput { grads: GradientsParams::new(), item };
                }
            };
            gradients.accumulate(model, grads.to_device(&self.main, model));
            sum.loss += figures.loss;
            sum.views += figures.views;
            sum.method.resize(figures.method.len(), 0.0);
            sum.method.iter_mut().zip(figures.method).for_each(|(sum, value)| *sum += value);
        }
        TrainOutput { grads: gradients.grads(), item: StepOutput::Done(sum) }
    }
}

impl<B: AutodiffBackend> Drop for Workers<B> {
    fn drop(&mut self) {
        // They end when there is no more to come.
        self.shares.clear();
        for thread in self.threads.drain(..) {
            // Panics in steps are told with the step.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Int, Tensor};
    use qare_data::{EpochCursor, Shard, Share};
    use qare_models::replicas::BatchStatistics;

    use super::*;
    use crate::backend::{Training, any_device};
    use crate::methods::{Facts, Method, Networks};
    use crate::recipe::Recipe;

    /// A share of four images, with so many channels.
    fn share(rank: usize, channels: usize) -> ViewBatch<Training> {
        let device = any_device();
        let share = Share::of(Shard { rank, count: 2 }, 8);
        ViewBatch {
            images: Tensor::ones([share.images, 1, channels, 8, 8], &device),
            labels: Tensor::<Training, 1, Int>::zeros([share.images], &device),
            indices: (share.offset..share.offset + share.images).collect(),
            share,
        }
    }

    #[test]
    fn a_panic_on_one_device_is_the_failure_of_the_step() {
        let recipe = Recipe { method: Method::Standard, ..Recipe::default() };
        let facts = Facts { images: 8, classes: 3, epoch: EpochCursor::default() };
        let networks = Networks::new(&recipe, &facts, &any_device()).unwrap().unwrap();
        let figures = recipe.method.plan(&recipe).unwrap().figures;
        let model = PretextModel::new(recipe.backbone.init(1, &any_device()), networks, figures, recipe.precision);
        let group = ReplicaGroup::new::<Training>(2, BatchStatistics::Whole);
        let devices = Workers::start(&group, &[any_device(), any_device()]).unwrap();

        let sound = devices.step(&model, vec![share(0, 3), share(1, 3)]);
        assert!(matches!(&sound.item, StepOutput::Done(figures) if figures.views == 8), "{:?}", sound.item);
        assert!(!sound.grads.is_empty());
        // The network takes three channels.
        for _ in 0..2 {
            let broken = devices.step(&model, vec![share(0, 3), share(1, 5)]);
            let StepOutput::Failed(message) = broken.item else { panic!("{:?}", broken.item) };
            assert!(message.starts_with("panic: "), "{message}");
        }
    }
}

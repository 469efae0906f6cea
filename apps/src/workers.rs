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
    use burn::module::{ModuleVisitor, Param};
    use burn::tensor::{Int, Tensor, TensorData};
    use qare_data::{EpochCursor, Shard, Share};
    use qare_models::replicas::BatchStatistics;

    use super::*;
    use crate::backend::{Plain, Training, any_device};
    use crate::features::values;
    use crate::methods::{Facts, Method, Networks, Plan};
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

    /// Views of so many images from one on, each image of a brightness of its own.
    fn batch(share: Share, views: usize) -> ViewBatch<Training> {
        let side = 32;
        let size = 3 * side * side;
        let value = |at: usize| {
            let (image, pixel) = (share.offset + at / (views * size), at % (views * size));
            ((image + 1) * pixel % 97) as f32 / 97.0
        };
        let values: Vec<f32> = (0..share.images * views * size).map(value).collect();
        let shape = [share.images, views, 3, side, side];
        ViewBatch {
            images: Tensor::from_data(TensorData::new(values, shape), &any_device()),
            labels: Tensor::zeros([share.images], &any_device()),
            indices: (share.offset..share.offset + share.images).collect(),
            share,
        }
    }

    /// The gradients of all weights, one after the other.
    struct Flat<'a>(&'a GradientsParams, Vec<f32>);

    impl ModuleVisitor<Training> for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Training, D>>) {
            self.1.extend(self.0.get::<Plain, D>(param.id).into_iter().flat_map(values));
        }
    }

    /// Loss and gradient of a step.
    fn told(model: &PretextModel<Training>, output: TrainOutput<StepOutput>) -> (f64, Vec<f32>) {
        let StepOutput::Done(figures) = output.item else { panic!("{:?}", output.item) };
        let mut gradient = Flat(&output.grads, Vec::new());
        model.visit(&mut gradient);
        (figures.loss, gradient.1)
    }

    /// Where a device sees nothing but its share, loss and gradient are the means of those of the shares, by their images.
    #[test]
    fn shares_that_stand_alone_count_by_their_images() {
        for method in [Method::Relationnet, Method::Deepinfomax, Method::Rotationnet] {
            let recipe = Recipe { method, ..Recipe::default() };
            let facts = Facts { images: 7, classes: 3, epoch: EpochCursor::default() };
            let networks = Networks::new(&recipe, &facts, &any_device()).unwrap().unwrap();
            let Plan { figures, views, .. } = recipe.method.plan(&recipe).unwrap();
            let model = PretextModel::new(recipe.backbone.init(1, &any_device()), networks, figures, recipe.precision);
            let group = ReplicaGroup::new::<Training>(2, BatchStatistics::Share);
            let workers = Workers::start(&group, &[any_device(), any_device()]).unwrap();
            let shares = [0, 1].map(|rank| Share::of(Shard { rank, count: 2 }, 7));
            assert_ne!(shares[0].images, shares[1].images);

            let (loss, gradient) = told(&model, workers.step(&model, shares.map(|share| batch(share, views)).into()));
            let alone = shares.map(|share| {
                let shard = Share::whole(share.images);
                told(&model, model.step(ViewBatch { share: shard, ..batch(share, views) }))
            });
            let mean = |of: [f64; 2]| (of[0] * shares[0].images as f64 + of[1] * shares[1].images as f64) / 7.0;
            let expected = mean([alone[0].0, alone[1].0]);
            assert!((loss - expected).abs() <= 1e-5 * expected, "{method}: {loss}, not {expected}");
            let largest = gradient.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            assert!(largest > 0.0, "{method}");
            for (at, found) in gradient.iter().enumerate() {
                let expected = mean([alone[0].1[at].into(), alone[1].1[at].into()]);
                assert!(
                    (f64::from(*found) - expected).abs() <= 1e-3 * f64::from(largest),
                    "{method}: {found}, {expected}"
                );
            }
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

//! Training steps on several devices, with one thread for each device.
//!
//! This replaces Burn's `MultiDevicesTrainStep`, which copies the model to a device without catching panics, waits forever for a
//! thread that has panicked, and does not distinguish two threads on one device.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use burn::module::Module;
use burn::optim::GradientsAccumulator;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use qare_data::ViewBatch;
use qare_models::replicas::{ReplicaError, ReplicaGroup};

use super::loss_scale::DynamicLossScale;
use super::model::PretextModel;
use super::step::{Figures, Step, StepFigures};
use crate::error::{LabError, Result};
use crate::methods::{Pretext, Trainable};

/// The input of a thread: the model, the device's share of the batch, and the loss scale.
type Work<B, P> = (PretextModel<B, P>, ViewBatch<B>, Option<DynamicLossScale<<B as AutodiffBackend>::InnerBackend>>);

/// The output of a thread: the rank of the device, and its part of the step, whose figures it has read.
type Part<B> = (usize, std::result::Result<Step<B>, ReplicaError>);

/// The threads of several devices.
pub struct Workers<B: AutodiffBackend, P: Pretext<B>> {
    /// The main device, on which gradients are summed.
    main: B::Device,
    shares: Vec<Sender<Work<B, P>>>,
    parts: Receiver<Part<B::InnerBackend>>,
    threads: Vec<JoinHandle<()>>,
}

impl<B: AutodiffBackend, P: Trainable<B>> Workers<B, P> {
    /// Starts one thread for each device, as a member of the group. The first device is the main one.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(group: &ReplicaGroup, devices: &[B::Device]) -> Result<Self> {
        let (done, parts) = channel();
        let (mut shares, mut threads) = (Vec::new(), Vec::new());
        for (rank, device) in devices.iter().enumerate() {
            let (share, work) = channel::<Work<B, P>>();
            let (group, device, done) = (group.clone(), device.clone(), done.clone());
            let work = move || {
                while let Ok((model, share, scale)) = work.recv() {
                    let step = || {
                        let scale = scale.map(|scale| scale.to_device(&device));
                        let step = model.fork(&device).differentiate(share, scale.as_ref());
                        let step = step.map_err(|error| error.to_string())?;
                        Ok(Step { figures: Figures::Read(step.figures.read()), ..step })
                    };
                    if done.send((rank, group.enter(rank, step))).is_err() {
                        return;
                    }
                }
            };
            let thread = Builder::new().name(format!("device-{rank}")).spawn(work);
            let refused = |error| LabError::Failed(format!("cannot start a thread for each device: {error}"));
            threads.push(thread.map_err(refused)?);
            shares.push(share);
        }
        Ok(Self { main: devices[0].clone(), shares, parts, threads })
    }

    /// Computes a step on all devices, and sums gradients and figures in the order of the devices, so that the result does not depend
    /// on timing. The gradients are finite if those of all devices are.
    ///
    /// # Errors
    /// If the step fails or panics on a device. The error is that of the first device that failed.
    pub fn differentiate(
        &self,
        model: &PretextModel<B, P>,
        shares: Vec<ViewBatch<B>>,
        scale: Option<&DynamicLossScale<B::InnerBackend>>,
    ) -> Result<Step<B::InnerBackend>> {
        for (device, share) in self.shares.iter().zip(shares) {
            device.send((model.clone(), share, scale.cloned())).expect("the thread runs until `self` is dropped");
        }
        let parts = self.shares.iter().map(|_| self.parts.recv().expect("every thread sends a result"));
        let mut parts: Vec<Part<B::InnerBackend>> = parts.collect();
        parts.sort_by_key(|(rank, _)| *rank);

        let mut gradients = GradientsAccumulator::new();
        let (mut figures, mut finite, mut embeddings) = (StepFigures::default(), None, None);
        for (rank, part) in parts {
            let part = part.map_err(LabError::failed)?;
            let of_part = part.figures.read();
            let finite_part = part.finite.map(|finite| finite.to_device(&self.main));
            finite = match (finite, finite_part) {
                (Some(finite), Some(part)) => Some(Tensor::bool_and(finite, part)),
                (finite, part) => finite.or(part),
            };
            gradients.accumulate(model, part.gradients.to_device(&self.main, model));
            embeddings = if rank == 0 { part.embeddings } else { embeddings };
            figures.loss += of_part.loss;
            figures.views += of_part.views;
            figures.method.resize(of_part.method.len(), 0.0);
            figures.method.iter_mut().zip(of_part.method).for_each(|(sum, value)| *sum += value);
        }
        Ok(Step { gradients: gradients.grads(), figures: Figures::Read(figures), finite, embeddings })
    }
}

impl<B: AutodiffBackend, P: Pretext<B>> Drop for Workers<B, P> {
    fn drop(&mut self) {
        // Closing the channels ends the threads.
        self.shares.clear();
        for thread in self.threads.drain(..) {
            // Panics in a step are reported by `differentiate`.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{ModuleVisitor, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Int, TensorData};
    use qare_data::{Shard, Share};
    use qare_models::replicas::BatchStatistics;
    use serde_json::json;

    use super::*;
    use crate::evaluation::features::values;
    use crate::methods::{Facts, Method, Networks, Plan};
    use crate::recipe::Recipe;
    use crate::test_backend::{Plain, Training, any_device};
    use crate::training::loss_scale::LossScale;

    type Model = PretextModel<Training, Networks<Training>>;

    /// The model of a method on images of three classes, and its number of views.
    fn model_of(method: Method) -> (Model, usize) {
        let recipe = Recipe { method: method.into(), ..Recipe::default() };
        let facts = Facts { images: 8, classes: 3 };
        let networks = Networks::new(&recipe, &facts, &any_device()).unwrap();
        let Plan { figures, views, .. } = method.plan(&recipe).unwrap();
        let backbone = recipe.backbone.init(1, &any_device());
        (PretextModel::new(backbone, networks, figures, recipe.precision), views)
    }

    /// The share of a device in a batch of eight images, with a given number of channels.
    fn share(rank: usize, channels: usize) -> ViewBatch<Training> {
        let device = any_device();
        let share = Share::of(Shard { rank, count: 2 }, 8);
        ViewBatch {
            images: Tensor::ones([share.images, 1, channels, 8, 8], &device),
            labels: Tensor::<Training, 1, Int>::zeros([share.images], &device),
            indices: (share.offset..share.offset + share.images).collect(),
            epoch: 1,
            share,
        }
    }

    /// The views of a share. Each image has its own pattern.
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
            epoch: 1,
            share,
        }
    }

    /// Visitor that concatenates the gradients of all weights.
    struct Flat<'a>(&'a GradientsParams, Vec<f32>);

    impl ModuleVisitor<Training> for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Training, D>>) {
            self.1.extend(self.0.get::<Plain, D>(param.id).into_iter().flat_map(values));
        }
    }

    /// Returns loss and gradient of a step.
    fn loss_and_gradient(model: &Model, output: Result<Step<Plain>>) -> (f64, Vec<f32>) {
        let Step { gradients, figures, .. } = output.unwrap();
        let mut gradient = Flat(&gradients, Vec::new());
        model.visit(&mut gradient);
        (figures.read().loss, gradient.1)
    }

    /// If a device sees only its share, loss and gradient are the means over the shares, weighted by their numbers of images.
    #[test]
    fn independent_shares_are_weighted_by_their_images() {
        for method in [Method::Relationnet, Method::Deepinfomax, Method::Rotationnet] {
            let (model, views) = model_of(method);
            let group = ReplicaGroup::new::<Training>(2, BatchStatistics::Share);
            let workers = Workers::start(&group, &[any_device(), any_device()]).unwrap();
            let shares = [0, 1].map(|rank| Share::of(Shard { rank, count: 2 }, 7));
            assert_ne!(shares[0].images, shares[1].images);

            let (loss, gradient) = loss_and_gradient(
                &model,
                workers.differentiate(&model, shares.map(|share| batch(share, views)).into(), None),
            );
            let alone = shares.map(|share| {
                let shard = Share::whole(share.images);
                loss_and_gradient(&model, model.differentiate(ViewBatch { share: shard, ..batch(share, views) }, None))
            });
            let mean =
                |values: [f64; 2]| (values[0] * shares[0].images as f64 + values[1] * shares[1].images as f64) / 7.0;
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
    fn a_panic_on_one_device_is_an_error_of_the_step() {
        let (model, _) = model_of(Method::Standard);
        let group = ReplicaGroup::new::<Training>(2, BatchStatistics::Whole);
        let devices = Workers::start(&group, &[any_device(), any_device()]).unwrap();

        let step = devices.differentiate(&model, vec![share(0, 3), share(1, 3)], None).unwrap();
        assert_eq!((step.figures.read().views, step.finite.is_none()), (8, true));
        assert!(!step.gradients.is_empty());
        // The network expects three channels, so the second device panics.
        for _ in 0..2 {
            let failed = devices.differentiate(&model, vec![share(0, 3), share(1, 5)], None);
            let message = failed.err().unwrap().to_string();
            assert!(message.starts_with("panic: "), "{message}");
        }
    }

    #[test]
    fn an_overflow_on_one_device_is_one_on_all() {
        let (model, _) = model_of(Method::Standard);
        let group = ReplicaGroup::new::<Training>(2, BatchStatistics::Share);
        let devices = Workers::start(&group, &[any_device(), any_device()]).unwrap();
        // Distinct views give gradients that are not zero.
        let shares = || [0, 1].map(|rank| batch(Share::of(Shard { rank, count: 2 }, 8), 1)).to_vec();
        let scale: LossScale = serde_json::from_value(json!({ "scale": 1024.0, "good_steps": 0 })).unwrap();
        let scale = scale.to_device(&any_device());
        for (pixels, expected) in [(1.0, true), (f32::INFINITY, false)] {
            let mut shares = shares();
            shares[1].images = shares[1].images.clone() * pixels;
            let finite = devices.differentiate(&model, shares, Some(&scale)).unwrap().finite.unwrap();
            assert_eq!(values(finite.float()), [f32::from(expected)], "pixels times {pixels}");
        }
    }
}

//! Times a forward and a backward pass of conv4 on the CPU backends, next to the same network with
//! Burn's own batch normalisation.
//!
//! `cargo run --release -p qare-models --example conv4_step [images] [rounds]`

use std::time::{Duration, Instant};

use burn::backend::Autodiff;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::BackboneName;

/// conv4 of Burn's layers alone.
#[derive(Module, Debug)]
struct BurnConv4<B: Backend> {
    blocks: Vec<(Conv2d<B>, BatchNorm<B>)>,
    pool: AvgPool2d,
}

impl<B: Backend> BurnConv4<B> {
    fn new(device: &B::Device) -> Self {
        let channels = [3, 8, 16, 32, 64];
        Self {
            blocks: channels
                .windows(2)
                .map(|pair| {
                    let conv = Conv2dConfig::new([pair[0], pair[1]], [3, 3])
                        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                        .with_bias(false)
                        .init(device);
                    (conv, BatchNormConfig::new(pair[1]).init(device))
                })
                .collect(),
            pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let last = self.blocks.len() - 1;
        let mut x = images;
        for (at, (conv, norm)) in self.blocks.iter().enumerate() {
            x = relu(norm.forward(conv.forward(x)));
            if at < last {
                x = self.pool.forward(x);
            }
        }
        let [n, c, h, w] = x.dims();
        x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
    }
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<usize>().expect("arguments are numbers: images, rounds"));
    let images = arguments.next().unwrap_or(512);
    let rounds = arguments.next().unwrap_or(5);
    println!("conv4, {images} images 3x32x32, best of {rounds}: forward + backward");
    compare::<Autodiff<Flex>>("flex", images, rounds);
    compare::<Autodiff<NdArray>>("ndarray", images, rounds);
}

fn compare<B: AutodiffBackend>(backend: &str, images: usize, rounds: usize) {
    let device = Default::default();
    let ours = BackboneName::Conv4.init::<B>(1, &device);
    let burns = BurnConv4::<B>::new(&device);
    let x = Tensor::random([images, 3, 32, 32], Distribution::Default, &device);

    let mut best = [[Duration::MAX; 2]; 2];
    for _ in 0..=rounds {
        for (best, step) in
            best.iter_mut().zip([time_step(&x, |x| ours.forward(x)), time_step(&x, |x| burns.forward(x))])
        {
            best[0] = best[0].min(step[0]);
            best[1] = best[1].min(step[1]);
        }
    }
    for (name, [forward, backward]) in ["this crate", "Burn's layers"].iter().zip(best) {
        println!("{backend:8} {name:14} {:4} + {:4} ms", forward.as_millis(), backward.as_millis());
    }
}

fn time_step<B: AutodiffBackend>(x: &Tensor<B, 4>, network: impl Fn(Tensor<B, 4>) -> Tensor<B, 2>) -> [Duration; 2] {
    let start = Instant::now();
    let loss = network(x.clone()).powi_scalar(2).mean();
    let _ = loss.clone().into_scalar();
    let forward = start.elapsed();
    let gradients = loss.backward();
    // Reading a number waits for backends that compute later.
    let _ = loss.into_scalar();
    let total = start.elapsed();
    drop(gradients);
    [forward, total - forward]
}

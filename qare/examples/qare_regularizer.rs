//! QARe as a regulariser in a training loop of one's own: cross entropy of noisy views + ½ QARe of their embeddings.
//!
//! cargo run --release -p qare --example qare_regularizer

use burn::backend::Autodiff;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig, loss::CrossEntropyLossConfig};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, ElementConversion, Int, Tensor, activation::relu, backend::Backend};
use qare::{QareConfig, Views};

type B = Autodiff<burn_flex::Flex>;

#[derive(Module, Debug)]
struct Network<B: Backend> {
    embed: Linear<B>,
    classify: Linear<B>,
}

pub fn main() {
    let losses = train(60);
    println!("loss {:.3} -> {:.3}", losses[0], losses[losses.len() - 1]);
}

pub fn train(steps: usize) -> Vec<f64> {
    let device = Default::default();
    B::seed(&device, 1);
    let (images, classes, features) = (64, 4, 16);
    let centers = Tensor::<B, 2>::random([classes, features], Distribution::Normal(0.0, 1.0), &device);
    let qare = QareConfig::new().init();
    let mut network = Network {
        embed: LinearConfig::new(features, 32).init(&device),
        classify: LinearConfig::new(32, classes).init(&device),
    };
    let mut optimizer = AdamConfig::new().init();

    let mut losses = Vec::new();
    for _ in 0..steps {
        // Two noisy views of each image, one after the other: row 2i + k is view k of image i.
        let labels = Tensor::<B, 1, Int>::arange(0..2 * images, &device).div_scalar(2).remainder_scalar(classes as i64);
        let clean = centers.clone().select(0, labels.clone());
        let views = clean.clone() + clean.random_like(Distribution::Normal(0.0, 0.3));

        let embeddings = relu(network.embed.forward(views)); // [2·images, 32]
        let logits = network.classify.forward(embeddings.clone());
        let loss = CrossEntropyLossConfig::new().init(&device).forward(logits, labels)
            + qare.forward(embeddings, Views::PAIR).expect("finite embeddings") * 0.5;
        losses.push(loss.clone().into_scalar().elem());

        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-2, network, gradients);
    }
    losses
}

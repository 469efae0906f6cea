use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a sequence of initial weights is for. Each purpose has its own random stream, so that the weights of a head do not depend
/// on the backbone that was initialised before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightStream {
    /// Weights of a backbone.
    Backbone = 1,
    /// Weights of a projection head.
    Head = 2,
    /// Weights of a linear classifier.
    Classifier = 3,
    /// Weights of the layer that classifies rotations.
    Rotation = 4,
    /// Weights of a relation head.
    Relation = 5,
    /// Weights of Deep InfoMax's discriminators.
    Discriminators = 6,
    /// Weights of the layer that classifies clusters, drawn anew each epoch.
    Clusters = 7,
    /// Weights of an embedding head.
    Embedding = 8,
    /// Proxies of identities.
    Proxies = 9,
}

/// Draws initial weights on the host. They are a function of seed, purpose and order of the draws alone: the same f32 values, bit
/// for bit, on every backend and device. The backend's own random state is neither read nor changed.
pub struct InitialWeights {
    rng: ChaCha8Rng,
}

impl InitialWeights {
    /// The sequence of a seed for one purpose.
    pub fn new(seed: u64, stream: WeightStream) -> Self {
        Self::numbered(seed, stream, 0)
    }

    /// One of many sequences of a seed for one purpose, such as one an epoch. Number 0 is that of [`new`](Self::new).
    pub fn numbered(seed: u64, stream: WeightStream, number: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Purposes stay below 256.
        rng.set_stream(stream as u64 | u64::from(number) << 8);
        Self { rng }
    }

    /// A convolution's weight `[C_out, C_in, k, k]` from a normal distribution with mean 0 and standard deviation √(2/(k·k·C_out))
    /// (He et al. 2015, fan-out).
    pub fn conv<B: Backend>(&mut self, [c_out, c_in, k1, k2]: [usize; 4], device: &B::Device) -> Param<Tensor<B, 4>> {
        let std = (2.0 / (k1 * k2 * c_out) as f64).sqrt();
        let values = self.draw(c_out * c_in * k1 * k2, |rng| std * rng.normal());
        parameter(values, [c_out, c_in, k1, k2], device)
    }

    /// A convolution with bias, weight `[C_out, C_in, k, k]` and bias uniform in ±1/√(C_in·k·k) (PyTorch's default).
    pub fn conv_with_bias<B: Backend>(
        &mut self,
        [c_out, c_in, k1, k2]: [usize; 4],
        stride: usize,
        padding: usize,
        device: &B::Device,
    ) -> Conv2d<B> {
        let bound = 1.0 / ((c_in * k1 * k2) as f64).sqrt();
        let mut conv = Conv2dConfig::new([c_in, c_out], [k1, k2])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .init(device);
        let weight = self.draw(c_out * c_in * k1 * k2, |rng| rng.uniform(bound));
        let bias = self.draw(c_out, |rng| rng.uniform(bound));
        conv.weight = parameter(weight, [c_out, c_in, k1, k2], device);
        conv.bias = Some(parameter(bias, [c_out], device));
        conv
    }

    /// A matrix from N(0, `std`).
    pub fn normal_matrix<B: Backend>(
        &mut self,
        [rows, columns]: [usize; 2],
        std: f64,
        device: &B::Device,
    ) -> Param<Tensor<B, 2>> {
        parameter(self.draw(rows * columns, |rng| std * rng.normal()), [rows, columns], device)
    }

    /// A linear layer with weights from N(0, `std`) and bias 0.
    pub fn normal_linear<B: Backend>(
        &mut self,
        inputs: usize,
        outputs: usize,
        std: f64,
        device: &B::Device,
    ) -> Linear<B> {
        let weight = self.draw(outputs * inputs, |rng| std * rng.normal());
        linear_layer(weight, vec![0.0; outputs], inputs, outputs, device)
    }

    /// A linear layer with bias, weight and bias uniform in ±1/√inputs (PyTorch's default).
    pub fn linear<B: Backend>(&mut self, inputs: usize, outputs: usize, device: &B::Device) -> Linear<B> {
        let (weight, bias) = self.linear_values(inputs, outputs);
        linear_layer(weight, bias, inputs, outputs, device)
    }

    /// The values of [`linear`](Self::linear) in PyTorch's layout, weight `[out, in]` and bias `[out]`.
    pub(crate) fn linear_values(&mut self, inputs: usize, outputs: usize) -> (Vec<f32>, Vec<f32>) {
        let bound = 1.0 / (inputs as f64).sqrt();
        let weight = self.draw(outputs * inputs, |rng| rng.uniform(bound));
        let bias = self.draw(outputs, |rng| rng.uniform(bound));
        (weight, bias)
    }

    fn draw(&mut self, count: usize, mut value: impl FnMut(&mut Self) -> f64) -> Vec<f32> {
        (0..count).map(|_| value(self) as f32).collect()
    }

    /// Uniform in [0, 1) with 53 random bits.
    fn unit(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 * (-53f64).exp2()
    }

    fn uniform(&mut self, bound: f64) -> f64 {
        bound * (2.0 * self.unit() - 1.0)
    }

    /// Standard normal (Box & Muller 1958). The second value of each pair is dropped, so that no draw depends on whether the number
    /// of draws before it is even.
    fn normal(&mut self) -> f64 {
        // 1 − u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// A layer with a weight in PyTorch's layout `[out, in]`.
fn linear_layer<B: Backend>(
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
    device: &B::Device,
) -> Linear<B> {
    // Burn's layer keeps [in, out].
    let weight = (0..inputs * outputs).map(|at| weight[at % outputs * inputs + at / outputs]).collect();
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    linear.weight = parameter(weight, [inputs, outputs], device);
    linear.bias = Some(parameter(bias, [outputs], device));
    linear
}

/// A trainable parameter with the given values in row-major order.
pub(crate) fn parameter<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

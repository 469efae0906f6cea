use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::{adaptive_avg_pool2d, linear};
use burn::tensor::{Tensor, backend::Backend};

use crate::initial_weights::{InitialWeights, WeightStream};
use crate::layers::{self, convolution, for_sums};

/// Sizes of Deep InfoMax's [`Discriminators`], and which of them to make.
#[derive(Config, Debug)]
pub struct DiscriminatorsConfig {
    /// Number of features F of the backbone.
    pub features: usize,
    /// Number of channels C of its first maps.
    pub maps: usize,
    /// Whether there is a local discriminator.
    #[config(default = true)]
    pub local: bool,
    /// Whether there is a global discriminator.
    #[config(default = false)]
    pub global: bool,
    /// Whether there is a prior discriminator.
    #[config(default = true)]
    pub prior: bool,
}

impl DiscriminatorsConfig {
    /// Discriminators whose weights are a function of the sizes and `seed`: the same on every backend, and whichever others
    /// are made.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> Discriminators<B> {
        let (features, maps) = (self.features, self.maps);
        let numbered = |number| InitialWeights::numbered(seed, WeightStream::Discriminators, number);
        Discriminators {
            global_d: self.global.then(|| GlobalDiscriminator::new(features, maps, &mut numbered(0), device)),
            local_d: self.local.then(|| LocalDiscriminator::new(features, maps, &mut numbered(1), device)),
            prior_d: self.prior.then(|| PriorDiscriminator::new(features, &mut numbered(2), device)),
        }
    }
}

/// The networks that Deep InfoMax (Hjelm et al. 2018) trains beside the backbone, made by [`DiscriminatorsConfig::init`].
#[derive(Module, Debug)]
pub struct Discriminators<B: Backend> {
    /// Compares features with all maps at once.
    pub global_d: Option<GlobalDiscriminator<B>>,
    /// Compares features with the maps at each place.
    pub local_d: Option<LocalDiscriminator<B>>,
    /// Compares features with the prior.
    pub prior_d: Option<PriorDiscriminator<B>>,
}

/// Scores at each place whether features y and maps M are of one image: y is concatenated to M at each place, and goes through
/// 1×1 convolutions C + F → 256 → 256 → 1 with ReLU between.
#[derive(Module, Debug)]
pub struct LocalDiscriminator<B: Backend> {
    c0: Conv2d<B>,
    c1: Conv2d<B>,
    c2: Conv2d<B>,
}

impl<B: Backend> LocalDiscriminator<B> {
    /// A discriminator for F `features` and C `maps`, with the next weights of a sequence.
    pub fn new(features: usize, maps: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        Self {
            c0: weights.conv_with_bias([256, maps + features, 1, 1], 1, 0, device),
            c1: weights.conv_with_bias([256, 256, 1, 1], 1, 0, device),
            c2: weights.conv_with_bias([1, 256, 1, 1], 1, 0, device),
        }
    }

    /// Scores (logits) of features and maps.
    ///
    /// # Shapes
    ///
    /// y `[N, F]`, M `[N, C, H, W]` → `[N, 1, H, W]`
    ///
    /// # Panics
    ///
    /// If F or C are not the discriminator's.
    pub fn forward(&self, features: Tensor<B, 2>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let layers = [&self.c0, &self.c1, &self.c2];
        let dtype = maps.dtype();
        let bias = |layer: &Conv2d<B>| layers::weight(layer.bias.as_ref().expect("a layer with a bias"), dtype);
        let scores = LocalScores {
            maps,
            features,
            weights: layers.map(|layer| layers::weight(&layer.weight, dtype)),
            biases: layers.map(bias),
        };
        let ([_, c, ..], [_, f]) = (scores.maps.dims(), scores.features.dims());
        let inputs = scores.weights[0].dims()[1];
        assert_eq!(inputs, c + f, "LocalDiscriminator: channels and features of the layer (left) and given (right)");
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        let scores = match crate::cpu::local_scores(scores) {
            Ok(scores) => return scores,
            Err(scores) => scores,
        };
        scores.by_layer()
    }
}

/// The arguments of a [`LocalDiscriminator`].
pub(crate) struct LocalScores<B: Backend> {
    /// `[N, C, H, W]`
    pub maps: Tensor<B, 4>,
    /// `[N, F]`
    pub features: Tensor<B, 2>,
    /// Of the three layers: `[256, C + F, 1, 1]`, `[256, 256, 1, 1]` and `[1, 256, 1, 1]`.
    pub weights: [Tensor<B, 4>; 3],
    /// `[256]`, `[256]` and `[1]`.
    pub biases: [Tensor<B, 1>; 3],
}

impl<B: Backend> LocalScores<B> {
    /// The scores, layer by layer: `[N, 1, H, W]`.
    pub fn by_layer(self) -> Tensor<B, 4> {
        let [n, c, height, width] = self.maps.dims();
        let places = height * width;
        // Of `[out, in, 1, 1]`, the matrix `[in, out]` of a linear layer.
        let [first, second, last] = self.weights.map(|weight| weight.squeeze_dims::<2>(&[2, 3]).transpose());
        let [first_bias, second_bias, last_bias] = self.biases;
        let [inputs, hidden] = first.dims();

        // The first layer of the concatenation is W_M·M + W_y·y. The second term is the same at each place, so it is computed
        // once an image. 1×1 convolutions are matrix products over all places of all images, which are many times as fast
        // as Burn's convolutions on a CPU.
        let of_maps = first.clone().narrow(0, 0, c); // [C, 256]
        let of_features = first.narrow(0, c, inputs - c); // [F, 256]
        let rows = self.maps.reshape([n, c, places]).swap_dims(1, 2).reshape([n * places, c]); // [N·P, C]
        let from_maps = linear(rows, of_maps, Some(first_bias)).reshape([n, places, hidden]);
        let from_features = self.features.matmul(of_features).reshape([n, 1, hidden]);

        let h: Tensor<B, 2> = relu(from_maps + from_features).reshape([n * places, hidden]);
        let h = relu(linear(h, second, Some(second_bias))); // [N·P, 256]
        linear(h, last, Some(last_bias)).reshape([n, 1, height, width])
    }
}

/// Scores whether features y and maps M are of one image. M goes through 3×3 convolutions C → 64 → 32 without padding, with ReLU
/// between, and average pooling to 16×16; the result, concatenated to y, goes through linear layers → 256 → 256 → 1 with ReLU
/// between.
#[derive(Module, Debug)]
pub struct GlobalDiscriminator<B: Backend> {
    c0: Conv2d<B>,
    c1: Conv2d<B>,
    l0: Linear<B>,
    l1: Linear<B>,
    l2: Linear<B>,
}

impl<B: Backend> GlobalDiscriminator<B> {
    /// Side of the pooled maps.
    const SIDE: usize = 16;

    /// A discriminator for F `features` and C `maps` with the next weights of a sequence.
    pub fn new(features: usize, maps: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        Self {
            c0: weights.conv_with_bias([64, maps, 3, 3], 1, 0, device),
            c1: weights.conv_with_bias([32, 64, 3, 3], 1, 0, device),
            l0: weights.linear(32 * Self::SIDE * Self::SIDE + features, 256, device),
            l1: weights.linear(256, 256, device),
            l2: weights.linear(256, 1, device),
        }
    }

    /// Scores (logits) of features and maps.
    ///
    /// # Shapes
    ///
    /// y `[N, F]`, M `[N, C, H, W]` → `[N, 1]`
    ///
    /// # Panics
    ///
    /// If F or C are not the discriminator's, or if the maps have fewer than 5 places a side.
    pub fn forward(&self, features: Tensor<B, 2>, maps: Tensor<B, 4>) -> Tensor<B, 2> {
        let [n, _, height, width] = maps.dims();
        assert!(
            height.min(width) >= 5,
            "GlobalDiscriminator: two 3×3 convolutions without padding need maps of 5×5, these are {height}×{width}"
        );
        let dtype = maps.dtype();
        let h = convolution(&self.c1, relu(convolution(&self.c0, maps))); // [N, 32, H - 4, W - 4]
        let h = adaptive_avg_pool2d(for_sums(h), [Self::SIDE, Self::SIDE]).cast(dtype);
        let h = h.reshape([n as i32, -1]); // [N, 32·16·16]
        let h = relu(layers::linear(&self.l0, Tensor::cat(vec![features, h], 1))); // [N, 256]
        let h = relu(layers::linear(&self.l1, h));
        layers::linear(&self.l2, h)
    }
}

/// Distinguishes features of images from samples of the prior: linear layers F → 512 → 128 → 1 with ReLU between, then a sigmoid.
#[derive(Module, Debug)]
pub struct PriorDiscriminator<B: Backend> {
    l0: Linear<B>,
    l1: Linear<B>,
    l2: Linear<B>,
}

impl<B: Backend> PriorDiscriminator<B> {
    /// A discriminator for F `features` with the next weights of a sequence.
    pub fn new(features: usize, weights: &mut InitialWeights, device: &B::Device) -> Self {
        Self {
            l0: weights.linear(features, 512, device),
            l1: weights.linear(512, 128, device),
            l2: weights.linear(128, 1, device),
        }
    }

    /// Probabilities that features are samples of the prior, `[N, F]` → `[N, 1]`.
    pub fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        sigmoid(self.logits(features))
    }

    /// Logits of the probabilities p, `[N, F]` → `[N, 1]`. With them, log p = −softplus(−logit) and log(1 − p) = −softplus(logit)
    /// are finite even where p rounds to 0 or 1.
    pub fn logits(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let h = relu(layers::linear(&self.l0, features)); // [N, 512]
        let h = relu(layers::linear(&self.l1, h)); // [N, 128]
        layers::linear(&self.l2, h)
    }
}

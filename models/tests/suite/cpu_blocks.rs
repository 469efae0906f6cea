//! Blocks of layers that the CPU backends compute as one operation, against the layers one by one. Autodiff with another
//! checkpointing strategy is another backend to the choice between the two, and takes the layers.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{Backbone, BackboneName, keep_weights, named_tensors};

use crate::numbers::{noise, tensor, values};

pub type ByLayers = Autodiff<Flex, BalancedCheckpointing>;

/// Whatever a training step of Σ features·weights comes to, under its name.
pub type Figures = Vec<(String, Vec<f64>)>;

/// Collects the gradients of all parameters.
struct Collect<'a, B: AutodiffBackend> {
    gradients: &'a B::Gradients,
    figures: Figures,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        // Running statistics have none.
        let Some(gradient) = param.val().grad(self.gradients) else { return };
        self.figures.push((format!("gradient {}", self.figures.len()), values(gradient)));
    }
}

/// The figures, and the gradients of all parameters of a module.
pub fn with_gradients<B: AutodiffBackend>(
    figures: Figures,
    module: &impl Module<B>,
    gradients: &B::Gradients,
) -> Figures {
    let mut collect = Collect::<B> { gradients, figures };
    module.visit(&mut collect);
    collect.figures
}

/// The running statistics of a module.
pub fn running_statistics<B: Backend>(module: &impl Module<B>) -> Figures {
    let state = named_tensors(module, "").into_iter().filter(|tensor| tensor.name.contains("running"));
    state.map(|tensor| (tensor.name, tensor.values.iter().map(|value| f64::from(*value)).collect())).collect()
}

/// Features, and the gradients of Σ features·weights with respect to the parameters.
pub fn gradients_of<B: AutodiffBackend>(
    backbone: &Backbone<B>,
    images: Tensor<B, 4>,
    weights: Tensor<B, 2>,
) -> Figures {
    let features = backbone.forward(images);
    let gradients = (features.clone() * weights).sum().backward();
    with_gradients(vec![("features".into(), values(features))], backbone, &gradients)
}

fn step<B: AutodiffBackend>(backbone: &Backbone<B>, shape: [usize; 4], tracked: bool) -> Figures {
    let images: Tensor<B, 4> = tensor(&noise(shape.iter().product(), 7), shape);
    let images = if tracked { images.require_grad() } else { images };
    let features = backbone.forward(images.clone());
    let weights: Tensor<B, 2> = tensor(&noise(features.shape().num_elements(), 8), features.dims());
    let gradients = (features.clone() * weights).sum().backward();

    let mut figures = with_gradients(vec![("features".into(), values(features))], backbone, &gradients);
    assert_eq!(images.grad(&gradients).is_some(), tracked);
    figures.extend(images.grad(&gradients).map(|gradient| ("gradient of the images".into(), values(gradient))));
    let valid = backbone.valid();
    figures.extend(running_statistics(&valid));
    let images: Tensor<B::InnerBackend, 4> = tensor(&noise(shape.iter().product(), 9), shape);
    figures.push(("features in evaluation".into(), values(valid.forward(images))));
    figures
}

pub fn assert_same(found: &Figures, expected: &Figures, tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for ((name, found), (of, expected)) in found.iter().zip(expected) {
        assert_eq!((name, found.len()), (of, expected.len()), "{what}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let difference = norm(&mut found.iter().zip(expected).map(|(f, e)| f - e));
        let size = norm(&mut expected.iter().copied());
        assert!(difference <= tolerance * size, "{what}: {name} is off by {:e}", difference / size);
    }
}

/// Compares all figures of a step with those of the layers.
pub fn compare<B: AutodiffBackend>(backend: &str) {
    let device = Default::default();
    let cases = [
        (BackboneName::Conv4, [6, 3, 32, 32]),
        // Odd sizes, of which pooling drops rows and columns; fewer and more images than runs.
        (BackboneName::Conv4, [1, 3, 19, 11]),
        (BackboneName::Conv4, [37, 3, 8, 13]),
        (BackboneName::Resnet8, [5, 3, 16, 16]),
        (BackboneName::Resnet8, [2, 3, 9, 14]),
        (BackboneName::Resnet18, [2, 3, 40, 33]),
        // Enough images to go through a convolution together.
        (BackboneName::Resnet18, [9, 3, 33, 32]),
        (BackboneName::Resnet8, [12, 3, 9, 14]),
    ];
    for (name, shape) in cases {
        let expected = step(&name.init::<ByLayers>(3, &device), shape, true);
        let found = step(&name.init::<B>(3, &Default::default()), shape, true);
        assert_same(&found, &expected, 2e-4, &format!("{backend}, {name}, {shape:?}"));

        let untracked = step(&name.init::<B>(3, &Default::default()), shape, false);
        let found: Figures = found.into_iter().filter(|(name, _)| name != "gradient of the images").collect();
        assert_same(&untracked, &found, 0.0, &format!("{backend}, {name}, {shape:?}: images without gradients"));
    }
}

#[test]
fn flex_computes_what_the_layers_do() {
    compare::<Autodiff<Flex>>("flex");
}

#[test]
fn ndarray_computes_what_the_layers_do() {
    compare::<Autodiff<NdArray>>("ndarray");
}

/// Sums over a batch are made in an order of their own, whoever makes them.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (name, shape) in [(BackboneName::Conv4, [50, 3, 12, 12]), (BackboneName::Resnet18, [19, 3, 32, 32])] {
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let backbone = name.init::<Autodiff<Flex>>(3, &Default::default());
            pool.install(|| step(&backbone, shape, true))
        };
        let one = of(1);
        for threads in [2, 3, 7] {
            assert_eq!(of(threads), one, "{name}, {threads} threads");
        }
    }
}

/// Features with kept weights are those without, also of another network in turn.
fn compare_kept_weights<B: AutodiffBackend>() {
    let images: Tensor<B::InnerBackend, 4> = tensor(&noise(9 * 3 * 32 * 32, 1), [9, 3, 32, 32]);
    let features = |seed: u64| {
        let backbone = BackboneName::Resnet18.init::<B>(seed, &Default::default()).valid();
        move |images: &Tensor<B::InnerBackend, 4>| values(backbone.forward(images.clone()))
    };
    let (first, second) = (features(3), features(4));
    let expected = [first(&images), second(&images)];
    let _kept = keep_weights();
    for _ in 0..2 {
        assert!([first(&images), second(&images)] == expected);
    }
}

#[test]
fn kept_weights_are_those_of_the_network() {
    compare_kept_weights::<Autodiff<Flex>>();
    compare_kept_weights::<Autodiff<NdArray>>();
}

/// Features that are NaN have to stay so: whoever trains looks for it. (Burn's own ReLU on flex makes zeros of them.)
#[cfg(feature = "flex")]
#[test]
fn nan_goes_through() {
    let backbone = BackboneName::Conv4.init::<Autodiff<Flex>>(3, &Default::default());
    let mut pixels = noise(2 * 3 * 16 * 16, 1);
    pixels[100] = f64::NAN;
    let images: Tensor<Autodiff<Flex>, 4> = tensor(&pixels, [2, 3, 16, 16]);
    assert!(values(backbone.forward(images.clone())).iter().all(|value| value.is_nan()));
    let images = images.inner();
    let features = values(backbone.valid().forward(images));
    assert!(features[..64].iter().any(|value| value.is_nan()));
}

//! The heads of other methods against the reference's PyTorch modules, which have loaded the weights of the seed named
//! in the file: values and gradients of mean(output²).

use std::collections::HashMap;
use std::path::Path;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{DiscriminatorsConfig, RelationHeadConfig};
use safetensors::SafeTensors;

use crate::numbers::{assert_close, tensor, values};

struct Golden {
    seed: u64,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Golden {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/heads_pairs.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = tensors.iter().map(|(name, view)| {
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
            (name.to_owned(), (view.shape().to_vec(), values))
        });
        Self { seed: header.metadata().as_ref().unwrap()["seed"].parse().unwrap(), tensors: tensors.collect() }
    }

    fn leaf<B: AutodiffBackend, const D: usize>(&self, name: &str) -> Tensor<B, D> {
        let (shape, values) = &self.tensors[name];
        tensor::<B, D>(values, shape.clone().try_into().unwrap()).require_grad()
    }

    fn check<B: AutodiffBackend, const D: usize>(&self, name: &str, found: Tensor<B, D>) {
        let (shape, expected) = &self.tensors[name];
        assert_eq!(&found.dims()[..], shape, "{name}");
        assert_close(&values(found), expected, 2e-5, name);
    }

    /// Gradients are small: to be compared in units of the largest.
    fn check_gradient<B: AutodiffBackend, const D: usize>(&self, name: &str, found: Tensor<B::InnerBackend, D>) {
        let (_, expected) = &self.tensors[name];
        let largest = expected.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        let scaled = |values: &[f64]| values.iter().map(|v| v / largest).collect::<Vec<_>>();
        assert_close(&scaled(&values(found)), &scaled(expected), 1e-3, name);
    }
}

fn check<B: AutodiffBackend>() {
    let golden = Golden::read();
    let device = Default::default();

    let discriminators = DiscriminatorsConfig::new(5, 4).with_global(true).init::<B>(golden.seed, &device);
    let (y, maps) = (golden.leaf::<B, 2>("features"), golden.leaf::<B, 4>("maps"));
    let local = discriminators.local_d.unwrap().forward(y.clone(), maps.clone());
    golden.check("local", local.clone());
    let gradients = local.powi_scalar(2).mean().backward();
    golden.check_gradient::<B, _>("local_grad_features", y.grad(&gradients).unwrap());
    golden.check_gradient::<B, _>("local_grad_maps", maps.grad(&gradients).unwrap());

    // New leaves for each pass: another thread's pass may drop the graph of leaves that have been through one (Burn 0.21).
    let (y, maps) = (y.detach().require_grad(), maps.detach().require_grad());
    let global = discriminators.global_d.unwrap().forward(y.clone(), maps.clone());
    golden.check("global", global.clone());
    let gradients = global.powi_scalar(2).mean().backward();
    golden.check_gradient::<B, _>("global_grad_features", y.grad(&gradients).unwrap());
    golden.check_gradient::<B, _>("global_grad_maps", maps.grad(&gradients).unwrap());

    let prior = discriminators.prior_d.unwrap();
    let y = y.detach().require_grad();
    let found = prior.forward(y.clone());
    golden.check("prior", found.clone());
    let gradients = found.powi_scalar(2).mean().backward();
    golden.check_gradient::<B, _>("prior_grad_features", y.grad(&gradients).unwrap());
    let of_logits = burn::tensor::activation::sigmoid(prior.logits(y));
    golden.check("prior", of_logits);

    let head = RelationHeadConfig::new(10).init::<B>(golden.seed, &device);
    let pairs = golden.leaf::<B, 2>("pairs");
    let scores = head.forward(pairs.clone());
    golden.check("relation_train", scores.clone());
    let gradients = scores.powi_scalar(2).mean().backward();
    golden.check_gradient::<B, _>("relation_train_grad_pairs", pairs.grad(&gradients).unwrap());
    let scores = head.valid().forward(pairs.inner());
    assert_close(&values(scores), &golden.tensors["relation_eval"].1, 2e-5, "relation_eval");
}

#[test]
fn heads_agree_with_the_reference_on_flex() {
    check::<Autodiff<Flex>>();
}

#[test]
fn heads_agree_with_the_reference_on_ndarray() {
    check::<Autodiff<NdArray>>();
}

#[test]
#[should_panic(expected = "channels and features")]
fn a_local_discriminator_of_other_sizes_says_so() {
    let local = DiscriminatorsConfig::new(5, 4).init::<Flex>(1, &Default::default()).local_d.unwrap();
    local.forward(Tensor::zeros([2, 4], &Default::default()), Tensor::zeros([2, 4, 3, 3], &Default::default()));
}

#[test]
#[should_panic(expected = "maps of 5×5")]
fn a_global_discriminator_of_tiny_maps_says_so() {
    let global = DiscriminatorsConfig::new(5, 4).with_global(true).init::<Flex>(1, &Default::default()).global_d;
    global
        .unwrap()
        .forward(Tensor::zeros([2, 5], &Default::default()), Tensor::zeros([2, 4, 4, 9], &Default::default()));
}

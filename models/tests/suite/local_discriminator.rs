//! The local discriminator against the one written out, where the features are spread over all places and concatenated
//! to the maps: values, and the gradients of both inputs and of every parameter.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{DiscriminatorsConfig, LocalDiscriminator, NamedTensor, named_tensors};

use crate::numbers::{assert_close, noise, tensor, values};

/// The gradients of a module's parameters, in its order.
struct ParameterGradients<'a, B: AutodiffBackend> {
    gradients: &'a B::Gradients,
    found: Vec<Vec<f64>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for ParameterGradients<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.found.push(values(param.val().grad(self.gradients).unwrap()));
    }
}

fn leaf<B: AutodiffBackend, const D: usize>(of: &NamedTensor) -> Tensor<B, D> {
    let values: Vec<f64> = of.values.iter().map(|v| f64::from(*v)).collect();
    tensor::<B, D>(&values, of.shape.clone().try_into().unwrap()).require_grad()
}

fn check<B: AutodiffBackend>([n, f, c, h, w]: [usize; 5]) {
    let device = Default::default();
    let local: LocalDiscriminator<B> =
        DiscriminatorsConfig::new(f, c).init(n as u64, &device).local_d.expect("there by default");
    let inputs = || {
        let y = tensor::<B, 2>(&noise(n * f, 1), [n, f]).require_grad();
        let maps = tensor::<B, 4>(&noise(n * c * h * w, 2), [n, c, h, w]).require_grad();
        (y, maps)
    };
    // Weights the places differently, so that no gradient can hide in a sum.
    let weights = tensor::<B, 4>(&noise(n * h * w, 3), [n, 1, h, w]);

    let (y, maps) = inputs();
    let scores = local.forward(y.clone(), maps.clone());
    let gradients = (scores.clone() * weights.clone()).sum().backward();
    let mut visitor = ParameterGradients::<B> { gradients: &gradients, found: Vec::new() };
    local.visit(&mut visitor);

    let (literal_y, literal_maps) = inputs();
    let parameters = named_tensors(&local, "");
    let convs: Vec<(Tensor<B, 4>, Tensor<B, 1>)> =
        parameters.chunks(2).map(|pair| (leaf(&pair[0]), leaf(&pair[1]))).collect();
    let spread = literal_y.clone().reshape([n, f, 1, 1]).expand([n, f, h, w]);
    let mut x = Tensor::cat(vec![literal_maps.clone(), spread], 1);
    for (at, (weight, bias)) in convs.iter().enumerate() {
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        x = conv2d(x, weight.clone(), Some(bias.clone()), options);
        x = if at < 2 { relu(x) } else { x };
    }
    let literal_gradients = (x.clone() * weights).sum().backward();

    assert_close(&values(scores), &values(x), 1e-5, "scores");
    let of = |leaf: &Tensor<B, 2>, gradients| values(leaf.grad(gradients).unwrap());
    assert_close(&of(&y, &gradients), &of(&literal_y, &literal_gradients), 1e-4, "gradient of features");
    let of = |leaf: &Tensor<B, 4>, gradients| values(leaf.grad(gradients).unwrap());
    assert_close(&of(&maps, &gradients), &of(&literal_maps, &literal_gradients), 1e-4, "gradient of maps");
    assert_eq!(parameters.len(), 6);
    for (at, parameter) in parameters.iter().enumerate() {
        let (weight, bias) = &convs[at / 2];
        let expected = match at % 2 {
            0 => values(weight.grad(&literal_gradients).unwrap()),
            _ => values(bias.grad(&literal_gradients).unwrap()),
        };
        assert_close(&visitor.found[at], &expected, 1e-4, &parameter.name);
    }
}

#[test]
fn local_scores_are_those_of_the_concatenation() {
    for sizes in [[1, 1, 1, 1, 1], [3, 7, 4, 5, 2], [2, 16, 8, 6, 6]] {
        check::<Autodiff<Flex>>(sizes);
        check::<Autodiff<NdArray>>(sizes);
    }
}

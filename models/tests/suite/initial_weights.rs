//! What a seed makes: the same weights everywhere, of the reference's distributions and sizes.

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{
    BackboneName, DiscriminatorsConfig, InitialWeights, LinearClassifierConfig, NamedTensor, ProjectionHead,
    ProjectionHeadConfig, RelationHeadConfig, UnknownBackbone, WeightStream, named_tensors, parameter_count,
};

fn mean_and_std(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

fn tensor<'a>(tensors: &'a [NamedTensor], name: &str) -> &'a NamedTensor {
    tensors.iter().find(|t| t.name == name).unwrap()
}

#[test]
fn a_seed_makes_the_same_weights_on_every_backend() {
    let device = Default::default();
    let device_nd = Default::default();
    // Resnet34 and resnet50 are of resnet18's making, and large.
    let large = [BackboneName::Resnet34, BackboneName::Resnet50];
    for name in BackboneName::ALL.into_iter().filter(|name| !large.contains(name)) {
        let flex = named_tensors(&name.init::<Flex>(7, &device), "");
        let autodiff = named_tensors(&name.init::<Autodiff<Flex>>(7, &device), "");
        let ndarray = named_tensors(&name.init::<NdArray>(7, &device_nd), "");
        assert_eq!(flex, ndarray, "{name}");
        assert_eq!(flex, autodiff, "{name}");
        let other = named_tensors(&name.init::<Flex>(8, &device), "");
        assert_ne!(flex[0].values, other[0].values, "{name}");
    }

    let head = ProjectionHeadConfig::new(64);
    assert_eq!(
        named_tensors(&head.init::<Flex>(7, &device), ""),
        named_tensors(&head.init::<NdArray>(7, &device_nd), "")
    );
    let classifier = LinearClassifierConfig::new(64, 10);
    assert_eq!(
        named_tensors(&classifier.init::<Flex>(7, &device), ""),
        named_tensors(&classifier.init::<NdArray>(7, &device_nd), "")
    );
    let discriminators = DiscriminatorsConfig::new(6, 3).with_global(true);
    assert_eq!(
        named_tensors(&discriminators.init::<Flex>(7, &device), ""),
        named_tensors(&discriminators.init::<NdArray>(7, &device_nd), "")
    );
}

#[test]
fn initialising_leaves_the_backend_s_random_state_alone() {
    use burn::tensor::backend::Backend;
    let device = Default::default();
    let draw = || -> Vec<f32> {
        Tensor::<Flex, 1>::random([8], Distribution::Default, &device).into_data().into_vec().unwrap()
    };
    Flex::seed(&device, 3);
    let undisturbed = draw();
    Flex::seed(&device, 3);
    let backbone = BackboneName::Resnet8.init::<Flex>(1, &device);
    let head = ProjectionHeadConfig::new(64).init::<Flex>(1, &device);
    named_tensors(&backbone, "");
    named_tensors(&head, "");
    assert_eq!(draw(), undisturbed);
}

#[test]
fn head_and_classifier_have_streams_of_their_own() {
    let device = Default::default();
    let head = ProjectionHeadConfig::new(64).with_hidden(10).init::<Flex>(1, &device);
    let classifier = LinearClassifierConfig::new(64, 10).init::<Flex>(1, &device);
    let head = named_tensors(&head, "");
    let classifier = named_tensors(&classifier, "");
    let (a, b) = (tensor(&head, "linear1.weight"), tensor(&classifier, "weight"));
    assert_eq!(a.shape, b.shape);
    assert_ne!(a.values, b.values);
}

#[test]
fn every_purpose_and_every_number_has_a_stream_of_its_own() {
    use WeightStream::*;
    let device = Default::default();
    let first = |mut weights: InitialWeights| -> Vec<f32> {
        weights.linear::<Flex>(4, 4, &device).weight.val().into_data().into_vec().unwrap()
    };
    let purposes = [Backbone, Head, Classifier, Rotation, Relation, Discriminators, Clusters];
    let mut drawn = Vec::new();
    for (at, purpose) in purposes.into_iter().enumerate() {
        assert_eq!(purpose as usize, at + 1, "numbers of purposes never change");
        assert_eq!(first(InitialWeights::new(3, purpose)), first(InitialWeights::numbered(3, purpose, 0)));
        drawn.extend([0, 1, 2, 256, u32::MAX].map(|number| first(InitialWeights::numbered(3, purpose, number))));
    }
    for (at, values) in drawn.iter().enumerate() {
        assert!(!drawn[..at].contains(values), "sequence {at} is drawn twice");
    }
}

#[test]
fn a_discriminator_does_not_depend_on_which_others_there_are() {
    let device = Default::default();
    let with = |local, global, prior| {
        let config = DiscriminatorsConfig::new(6, 3).with_local(local).with_global(global).with_prior(prior);
        named_tensors(&config.init::<Flex>(5, &device), "")
    };
    let all = with(true, true, true);
    for (which, alone) in [
        ("local_d", with(true, false, false)),
        ("global_d", with(false, true, false)),
        ("prior_d", with(false, false, true)),
    ] {
        let expected: Vec<_> = all.iter().filter(|t| t.name.starts_with(which)).cloned().collect();
        assert!(!expected.is_empty());
        assert_eq!(alone, expected, "{which}");
    }
}

#[test]
fn convolutions_with_bias_are_uniform_as_pytorch_s() {
    let device = Default::default();
    let mut weights = InitialWeights::new(1, WeightStream::Discriminators);
    let conv = weights.conv_with_bias::<Flex>([64, 16, 3, 3], 2, 1, &device);
    let bound = 1.0 / 12.0;
    let (weight, bias): (Vec<f32>, Vec<f32>) = (
        conv.weight.val().into_data().into_vec().unwrap(),
        conv.bias.as_ref().unwrap().val().into_data().into_vec().unwrap(),
    );
    for values in [&weight, &bias] {
        assert!(values.iter().all(|v| v.abs() <= bound));
        let (mean, std) = mean_and_std(values);
        let expected = f64::from(bound) / 3f64.sqrt();
        let errors = 5.0 / (values.len() as f64).sqrt();
        assert!(mean.abs() < errors * expected && (std / expected - 1.0).abs() < errors, "{mean}, {std}");
    }
    let output = conv.forward(Tensor::zeros([1, 16, 9, 6], &device));
    assert_eq!(output.dims(), [1, 64, 5, 3]);
    let corner: Vec<f32> = output.narrow(2, 0, 1).narrow(3, 0, 1).into_data().into_vec().unwrap();
    assert_eq!(corner, bias);
}

#[test]
fn a_new_output_layer_is_normal_and_stays_the_same_parameter() {
    let device = Default::default();
    let head: ProjectionHead<Autodiff<Flex>> = ProjectionHeadConfig::new(64).with_output(100).init(1, &device);
    let before = named_tensors(&head, "");
    let ids = |head: &ProjectionHead<Autodiff<Flex>>| burn::module::list_param_ids(head);
    let old_ids = ids(&head);
    let head = head.with_new_output(0.01, &mut InitialWeights::numbered(1, WeightStream::Clusters, 4));
    assert_eq!(ids(&head), old_ids);

    let after = named_tensors(&head, "");
    for (old, new) in before.iter().zip(&after).filter(|(old, _)| !old.name.starts_with("linear2")) {
        assert_eq!(old, new);
    }
    let (mean, std) = mean_and_std(&tensor(&after, "linear2.weight").values);
    assert!(mean.abs() < 3e-4 && (std - 0.01).abs() < 3e-4, "{mean}, {std}");
    assert_eq!(tensor(&after, "linear2.bias").values, [0.0; 100]);

    // It still learns.
    let gradients =
        head.forward(Tensor::random([5, 64], Distribution::Default, &device)).powi_scalar(2).sum().backward();
    let gradients = burn::optim::GradientsParams::from_grads(gradients, &head);
    assert_eq!(gradients.len(), old_ids.len() - 3, "all but the three statistics have gradients");
}

#[test]
fn convolutions_are_normal_with_the_reference_s_deviation() {
    let backbone = BackboneName::Resnet56.init::<Flex>(1, &Default::default());
    let tensors = named_tensors(&backbone, "");
    let mut scaled = Vec::new();
    for t in tensors.iter().filter(|t| t.shape.len() == 4) {
        let std = (2.0 / (t.shape[2] * t.shape[3] * t.shape[0]) as f64).sqrt();
        scaled.extend(t.values.iter().map(|v| v / std as f32));
    }
    // 850 000 draws: the deviation of the mean is 0.0011, of the standard deviation 0.0008.
    let (mean, std) = mean_and_std(&scaled);
    assert!(mean.abs() < 5e-3, "mean {mean}");
    assert!((std - 1.0).abs() < 4e-3, "deviation {std}");
    let inside = |bound: f32| scaled.iter().filter(|v| v.abs() < bound).count() as f64 / scaled.len() as f64;
    assert!((inside(1.0) - 0.6827).abs() < 3e-3, "{}", inside(1.0));
    assert!((inside(2.0) - 0.9545).abs() < 2e-3, "{}", inside(2.0));
}

#[test]
fn linear_layers_are_uniform_as_pytorch_s() {
    let head = ProjectionHeadConfig::new(64).init::<Flex>(1, &Default::default());
    let tensors = named_tensors(&head, "");
    let t = tensor(&tensors, "linear1.weight");
    assert_eq!(t.shape, [256, 64]);
    let bound = 1.0 / 8.0;
    let (mean, std) = mean_and_std(&t.values);
    assert!(t.values.iter().all(|v| v.abs() <= bound));
    assert!(mean.abs() < 0.005 && (std - f64::from(bound) / 3f64.sqrt()).abs() < 0.002);

    let bias = tensor(&tensors, "linear2.bias");
    assert!(bias.values.iter().all(|v| v.abs() <= 1.0 / 16.0));
    assert!(bias.values.iter().any(|v| v.abs() > 1.0 / 32.0));
}

#[test]
fn names_and_sizes() {
    let device = Default::default();
    for (name, text, parameters) in [
        (BackboneName::Conv4, "conv4", 24_648),
        (BackboneName::Resnet8, "resnet8", 81_552),
        (BackboneName::Resnet20, "resnet20", 275_984),
        (BackboneName::Resnet32, "resnet32", 470_416),
        (BackboneName::Resnet44, "resnet44", 664_848),
        (BackboneName::Resnet56, "resnet56", 859_280),
        (BackboneName::Resnet110, "resnet110", 1_734_224),
        (BackboneName::Resnet18, "resnet18", 11_176_512),
        (BackboneName::Resnet34, "resnet34", 21_284_672),
        (BackboneName::Resnet50, "resnet50", 23_508_032),
    ] {
        assert_eq!(name.to_string(), text);
        assert_eq!(text.parse(), Ok(name));
        assert_eq!(serde_json::to_string(&name).unwrap(), format!("{text:?}"));
        let backbone = name.init::<Flex>(1, &device);
        assert_eq!(parameter_count(&backbone), parameters, "{name}");
        assert_eq!(backbone.feature_dim(), name.feature_dim());
        assert_eq!(backbone.map_channels(), name.map_channels());
        let images = Tensor::ones([2, 3, 16, 24], &device);
        assert_eq!(backbone.forward(images).dims(), [2, name.feature_dim()]);
    }

    assert_eq!(BackboneName::Resnet34.feature_dim(), 512);
    assert_eq!(BackboneName::Resnet50.feature_dim(), 2048);

    let error = "resnet9".parse::<BackboneName>().unwrap_err();
    assert_eq!(error, UnknownBackbone { found: "resnet9".into() });
    assert!(error.to_string().contains("conv4, resnet8, resnet20"));

    let head = ProjectionHeadConfig::new(64).init::<Flex>(1, &device);
    assert_eq!(parameter_count(&head), 64 * 256 + 256 + 512 + 256 * 64 + 64);
    assert_eq!(head.forward(Tensor::ones([3, 64], &device)).dims(), [3, 64]);
    let classifier = LinearClassifierConfig::new(64, 10).init::<Flex>(1, &device);
    assert_eq!(parameter_count(&classifier), 650);
    assert_eq!(classifier.forward(Tensor::ones([3, 64], &device)).dims(), [3, 10]);
    let relation = RelationHeadConfig::new(128).init::<Flex>(1, &device);
    assert_eq!(parameter_count(&relation), 128 * 256 + 256 + 512 + 256 + 1);
    assert_eq!(relation.forward(Tensor::ones([3, 128], &device)).dims(), [3, 1]);
}

#[test]
fn in_evaluation_features_do_not_depend_on_the_batch() {
    let device = Default::default();
    for name in [BackboneName::Conv4, BackboneName::Resnet8] {
        let backbone = name.init::<Autodiff<Flex>>(1, &device);
        let images = Tensor::<Autodiff<Flex>, 4>::random([6, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        backbone.forward(images.clone());

        let images = images.inner();
        let features = |range: std::ops::Range<usize>| -> Vec<f32> {
            let part = images.clone().slice([range]);
            let features = backbone.valid().forward(part);
            features.into_data().into_vec().unwrap()
        };
        let all = features(0..6);
        let first = features(0..1);
        let difference = all.iter().zip(&first).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

//! Networks as ONNX graphs: the graphs are sound, and compute what the networks compute.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use qare_models::{
    Backbone, BackboneName, EmbeddingHeadConfig, LinearClassifierConfig, NamedTensor, named_tensors, safetensors_bytes,
};
use qare_onnx::{Dim, Element, Graph};

use crate::onnx_interpreter::{Interpreter, Values};

/// Numbers in −1..1 that have no pattern.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The backbone with parameters and statistics of batch normalisation that differ from channel to channel, as after training.
fn trained(name: BackboneName) -> Backbone<Flex> {
    let backbone = name.init::<Flex>(3, &Default::default());
    let changed = |(seed, tensor): (usize, NamedTensor)| {
        let of_norm = tensor.shape.len() == 1 && tensor.name != "fc.bias";
        let middle = if tensor.name.ends_with("mean") || tensor.name.ends_with("bias") { 0.0 } else { 1.0 };
        let drawn = numbers(tensor.values.len(), seed as u32).into_iter().map(|value| middle + 0.4 * value).collect();
        NamedTensor { values: if of_norm { drawn } else { tensor.values }, ..tensor }
    };
    let tensors: Vec<NamedTensor> = named_tensors(&backbone, "").into_iter().enumerate().map(changed).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    std::fs::write(&file, safetensors_bytes(&tensors, None)).unwrap();
    qare_models::load_safetensors(backbone, "", &file).unwrap()
}

fn images_of(graph: &mut Graph) -> qare_onnx::Value {
    graph.input("images", Element::F32, &[Dim::Named("N"), 3.into(), Dim::Named("H"), Dim::Named("W")])
}

#[test]
fn the_graph_of_every_backbone_computes_its_features() {
    for name in BackboneName::ALL {
        let backbone = trained(name);
        let mut graph = Graph::new("test");
        let images = images_of(&mut graph);
        let features = backbone.add_to_onnx(&mut graph, "backbone", &images);
        graph.output("features", &features, Element::F32, &[Dim::Named("N"), name.feature_dim().into()]);
        let interpreter = Interpreter::read(&graph.into_model("test", "1", []));
        // Odd sizes, where a row or column is dropped.
        let sizes: &[[usize; 2]] = if name == BackboneName::Conv4 { &[[8, 8], [19, 13]] } else { &[[12, 9]] };
        for [height, width] in sizes {
            let shape = [2, 3, *height, *width];
            let values = numbers(shape.iter().product(), 7);
            let input = Values::new(&shape, values.iter().map(|value| f64::from(*value)).collect());
            let found = &interpreter.run("images", input)["features"];
            let tensor = Tensor::<Flex, 4>::from_data(TensorData::new(values, shape), &Default::default());
            let expected = backbone.forward(tensor);
            assert_eq!(found.shape, expected.dims());
            let expected: Vec<f32> = expected.into_data().into_vec().unwrap();
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (found, expected) in found.values.iter().zip(&expected) {
                // Sums in f32, in a network of up to 110 layers.
                assert!(
                    (found - f64::from(*expected)).abs() <= 2e-5 * f64::from(largest),
                    "{name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn heads_are_linear_layers_of_the_graph() {
    let device = Default::default();
    let head = EmbeddingHeadConfig::new(5, 3).init::<Flex>(1, &device);
    let classifier = LinearClassifierConfig::new(5, 4).init::<Flex>(1, &device);
    let mut graph = Graph::new("test");
    let features = graph.input("features", Element::F32, &[Dim::Named("N"), 5.into()]);
    let embedding = head.add_to_onnx(&mut graph, "embedding_head", &features);
    let logits = classifier.add_to_onnx(&mut graph, "classifier", &features);
    graph.output("embedding", &embedding, Element::F32, &[Dim::Named("N"), 3.into()]);
    graph.output("logits", &logits, Element::F32, &[Dim::Named("N"), 4.into()]);
    let interpreter = Interpreter::read(&graph.into_model("test", "1", []));

    let rows = numbers(10, 1);
    let found = interpreter.run("features", Values::new(&[2, 5], rows.iter().map(|row| f64::from(*row)).collect()));
    let tensor = || Tensor::<Flex, 2>::from_data(TensorData::new(rows.clone(), [2, 5]), &device);
    for (name, expected) in [("embedding", head.forward(tensor())), ("logits", classifier.forward(tensor()))] {
        assert_eq!(found[name].shape, expected.dims(), "{name}");
        let expected: Vec<f32> = expected.into_data().into_vec().unwrap();
        for (found, expected) in found[name].values.iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < 1e-6, "{name}: {found} {expected}");
        }
    }
}

#[test]
fn constants_have_the_names_of_pytorch() {
    let backbone = trained(BackboneName::Resnet8);
    let mut graph = Graph::new("test");
    let images = images_of(&mut graph);
    backbone.add_to_onnx(&mut graph, "backbone", &images);
    let mut names = Interpreter::read(&graph.into_model("test", "1", [])).constants();
    names.sort();
    let counters = |tensor: &NamedTensor| !tensor.is_batch_counter();
    let mut expected: Vec<String> =
        named_tensors(&backbone, "backbone").into_iter().filter(counters).map(|tensor| tensor.name).collect();
    expected.sort();
    assert_eq!(names, expected);
}

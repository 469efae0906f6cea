//! Weights files: exact round trips, PyTorch's names, and a typed error for every way in which a
//! file can be wrong.

use std::path::{Path, PathBuf};

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{
    Backbone, BackboneName, LinearClassifierConfig, NamedTensor, ProjectionHeadConfig, StateDict, WeightsError,
    load_pytorch, load_safetensors, named_tensors, safetensors_bytes, save_safetensors, write_safetensors,
};
use safetensors::{Dtype, SafeTensors};

/// A backbone with running statistics that are not the initial ones.
fn trained(name: BackboneName, seed: u64) -> Backbone<Autodiff<Flex>> {
    let device = Default::default();
    let backbone = name.init(seed, &device);
    for _ in 0..2 {
        let images = Tensor::random([4, 3, 16, 16], Distribution::Default, &device);
        backbone.forward(images);
    }
    backbone
}

fn bits(tensors: &[NamedTensor]) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    tensors
        .iter()
        .map(|t| {
            let values = t.values.iter().map(|v| v.to_bits()).collect();
            (t.name.clone(), t.shape.clone(), values)
        })
        .collect()
}

fn golden_weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backbone_conv4.pt")
}

#[test]
fn several_modules_in_one_file_come_back_bitwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let device = Default::default();
    let backbone = trained(BackboneName::Resnet8, 1);
    let head = ProjectionHeadConfig::new(64).init::<Autodiff<Flex>>(1, &device);
    head.forward(Tensor::random([8, 64], Distribution::Default, &device));
    let classifier = LinearClassifierConfig::new(64, 10).init::<Flex>(1, &device);

    let mut tensors = named_tensors(&backbone, "backbone");
    tensors.extend(named_tensors(&head, "head"));
    tensors.extend(named_tensors(&classifier, "classifier"));
    let metadata = [("epoch".to_owned(), "3".to_owned())].into();
    write_safetensors(&path, &tensors, Some(metadata)).unwrap();

    let saved = StateDict::read_safetensors(&path).unwrap();
    assert_eq!(saved.metadata()["epoch"], "3");
    assert!(saved.has_prefix("classifier") && !saved.has_prefix("class"));

    // Into an evaluation module, a training module and another backend.
    let device_nd = Default::default();
    let other = saved.load_into(BackboneName::Resnet8.init::<NdArray>(9, &device_nd), "backbone").unwrap();
    assert_eq!(bits(&named_tensors(&other, "")), bits(&named_tensors(&backbone, "")));
    let other = saved.load_into(ProjectionHeadConfig::new(64).init::<Autodiff<Flex>>(9, &device), "head").unwrap();
    assert_eq!(bits(&named_tensors(&other.valid(), "")), bits(&named_tensors(&head, "")));
    let other = saved.load_into(LinearClassifierConfig::new(64, 10).init::<Flex>(9, &device), "classifier").unwrap();
    assert_eq!(bits(&named_tensors(&other, "")), bits(&named_tensors(&classifier, "")));
}

#[test]
fn a_loaded_module_continues_training_as_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let device = Default::default();
    let backbone = trained(BackboneName::Conv4, 1);
    save_safetensors(&backbone, "backbone", &path).unwrap();
    let resumed = BackboneName::Conv4.init::<Autodiff<Flex>>(2, &device);
    // Statistics of a batch before loading must not show afterwards.
    resumed.forward(Tensor::ones([2, 3, 16, 16], &device));
    let resumed = load_safetensors(resumed, "backbone", &path).unwrap();

    let images = Tensor::<Autodiff<Flex>, 4>::random([4, 3, 16, 16], Distribution::Default, &device);
    let step = |net: &Backbone<Autodiff<Flex>>| {
        let images = images.clone().require_grad();
        let gradients = net.forward(images.clone()).powi_scalar(2).mean().backward();
        images.grad(&gradients).unwrap().into_data()
    };
    assert_eq!(step(&resumed), step(&backbone));
    assert_eq!(bits(&named_tensors(&resumed, "")), bits(&named_tensors(&backbone, "")));
}

#[test]
fn names_types_and_layouts_are_pytorch_s() {
    let device = Default::default();
    let head = ProjectionHeadConfig::new(48).init::<Flex>(1, &device);
    let classifier = LinearClassifierConfig::new(64, 10).init::<Flex>(1, &device);
    let mut tensors = named_tensors(&head, "head");
    tensors.extend(named_tensors(&classifier, "classifier"));
    let bytes = safetensors_bytes(&tensors, None);
    assert_eq!(bytes, safetensors_bytes(&tensors, None));

    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<(&str, Dtype, &[usize])> = tensors
        .iter()
        .map(|t| {
            let view = file.tensor(&t.name).unwrap();
            (t.name.as_str(), view.dtype(), view.shape().to_vec().leak() as &[usize])
        })
        .collect();
    found.sort_by_key(|entry| entry.0);
    let expected: [(&str, Dtype, &[usize]); 11] = [
        ("classifier.bias", Dtype::F32, &[10]),
        ("classifier.weight", Dtype::F32, &[10, 64]),
        ("head.bn1.bias", Dtype::F32, &[256]),
        ("head.bn1.num_batches_tracked", Dtype::I64, &[]),
        ("head.bn1.running_mean", Dtype::F32, &[256]),
        ("head.bn1.running_var", Dtype::F32, &[256]),
        ("head.bn1.weight", Dtype::F32, &[256]),
        ("head.linear1.bias", Dtype::F32, &[256]),
        ("head.linear1.weight", Dtype::F32, &[256, 48]),
        ("head.linear2.bias", Dtype::F32, &[64]),
        ("head.linear2.weight", Dtype::F32, &[64, 256]),
    ];
    assert_eq!(found, expected);
}

/// y = x Wᵀ + b with the saved W and b: what PyTorch computes of them.
#[test]
fn a_saved_linear_layer_means_what_pytorch_makes_of_it() {
    let device = Default::default();
    let resnet = BackboneName::Resnet8.init::<Flex>(1, &device);
    let tensors = named_tensors(&resnet, "");
    let get = |name: &str| &tensors.iter().find(|t| t.name == name).unwrap().values;
    // Through zero images only the biases of BatchNorm pass, which are 0, so the output is b.
    let output = resnet.forward(Tensor::zeros([1, 3, 8, 8], &device));
    assert_eq!(&output.into_data().into_vec::<f32>().unwrap(), get("fc.bias"));

    let classifier = LinearClassifierConfig::new(3, 2).init::<Flex>(1, &device);
    let tensors = named_tensors(&classifier, "");
    let x = [0.5f32, -2.0, 3.0];
    let scores = classifier.forward(Tensor::from_floats([x], &device));
    let scores: Vec<f32> = scores.into_data().into_vec().unwrap();
    for (class, score) in scores.iter().enumerate() {
        let row = &tensors[0].values[class * 3..][..3];
        let expected: f32 = tensors[1].values[class] + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        assert!((score - expected).abs() < 1e-6);
    }
}

fn conv4() -> Backbone<Flex> {
    BackboneName::Conv4.init(1, &Default::default())
}

fn load_error(tensors: &[NamedTensor]) -> WeightsError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write_safetensors(&path, tensors, None).unwrap();
    let error = load_safetensors(conv4(), "backbone", &path).unwrap_err();
    assert!(error.to_string().contains("weights.safetensors"), "{error}");
    error
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let good = named_tensors(&conv4(), "backbone");
    let name = "backbone.layer2.conv.weight";
    let at = good.iter().position(|t| t.name == name).unwrap();

    let mut tensors = good.clone();
    tensors.remove(at);
    assert!(matches!(
        load_error(&tensors),
        WeightsError::Missing { name: found, expected, .. }
            if found == name && expected == [16, 8, 3, 3]
    ));

    let mut tensors = good.clone();
    tensors[at].shape = vec![8, 16, 3, 3];
    assert!(matches!(
        load_error(&tensors),
        WeightsError::Shape { name: found_name, expected, found, .. }
            if found_name == name && expected == [16, 8, 3, 3] && found == [8, 16, 3, 3]
    ));

    let mut tensors = good.clone();
    tensors.push(NamedTensor { name: "backbone.layer5.conv.weight".into(), shape: vec![1], values: vec![0.0] });
    assert!(matches!(
        load_error(&tensors),
        WeightsError::Unexpected { names, .. } if names == ["backbone.layer5.conv.weight"]
    ));

    let resnet = BackboneName::Resnet8.init::<Flex>(1, &Default::default());
    assert!(matches!(load_error(&named_tensors(&resnet, "backbone")), WeightsError::Missing { .. }));
}

#[test]
fn a_tensor_of_another_type_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let data = [0u8; 8];
    let view = safetensors::tensor::TensorView::new(Dtype::I32, vec![2], &data).unwrap();
    let bytes = safetensors::serialize([("backbone.layer1.conv.weight", view)], None).unwrap();
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(
        load_safetensors(conv4(), "backbone", &path).unwrap_err(),
        WeightsError::Type { name, found, .. }
            if name == "backbone.layer1.conv.weight" && found == "int32"
    ));
}

#[test]
fn floats_of_any_precision_become_f32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let values = [1.5f32, -0.25, 3.0, 65504.0];
    let half: Vec<u8> = values.iter().flat_map(|v| burn::tensor::f16::from_f32(*v).to_le_bytes()).collect();
    let brain: Vec<u8> = values[..3].iter().flat_map(|v| burn::tensor::bf16::from_f32(*v).to_le_bytes()).collect();
    let double: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let view = |dtype, count, data| safetensors::tensor::TensorView::new(dtype, vec![count], data).unwrap();
    let views = [
        ("half", view(Dtype::F16, 4, &half)),
        ("brain", view(Dtype::BF16, 3, &brain)),
        ("double", view(Dtype::F64, 4, &double)),
    ];
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let state = StateDict::read(&path).unwrap();
    for (name, expected) in [("half", &values[..]), ("brain", &values[..3]), ("double", &values[..])] {
        assert_eq!(state.tensor(name).unwrap().values, expected, "{name}");
    }
}

#[test]
fn a_failed_load_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut tensors = named_tensors(&trained(BackboneName::Conv4, 3), "backbone");
    tensors.retain(|tensor| tensor.name != "backbone.layer4.bn.running_var");
    write_safetensors(&path, &tensors, None).unwrap();

    let backbone = conv4();
    let before = named_tensors(&backbone, "");
    load_safetensors(backbone.clone(), "backbone", &path).unwrap_err();
    assert_eq!(named_tensors(&backbone, ""), before);
}

#[test]
fn a_missing_file_is_an_io_error() {
    let path = Path::new("no/such/file");
    let error = load_safetensors(conv4(), "backbone", path).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }), "{error}");
    let error = load_pytorch(conv4(), path, Some("backbone")).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }), "{error}");
}

#[test]
fn a_cut_safetensors_file_is_an_error_at_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let bytes = safetensors_bytes(&named_tensors(&conv4(), "backbone"), None);
    let lengths = (0..64).chain((64..bytes.len()).step_by(997));
    for length in lengths.chain([bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = load_safetensors(conv4(), "backbone", &path).unwrap_err();
        assert!(matches!(error, WeightsError::Damaged { .. }), "{error}");
    }

    // A header of an absurd length, and one that is no JSON.
    let mut bytes = bytes;
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let error = load_safetensors(conv4(), "backbone", &path).unwrap_err();
    assert!(matches!(error, WeightsError::Damaged { .. }), "{error}");
    std::fs::write(&path, [&8u64.to_le_bytes()[..], b"{\"a\": 1}"].concat()).unwrap();
    let error = load_safetensors(conv4(), "backbone", &path).unwrap_err();
    assert!(matches!(error, WeightsError::Damaged { .. }), "{error}");
}

#[test]
fn a_cut_pytorch_file_is_an_error_at_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pt");
    let bytes = std::fs::read(golden_weights()).unwrap();
    for length in (0..bytes.len()).step_by(4999).chain([1, 20, bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = load_pytorch(conv4(), &path, Some("backbone")).unwrap_err();
        assert!(matches!(error, WeightsError::Damaged { .. } | WeightsError::Io { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn a_pytorch_file_of_another_network_or_key_is_an_error() {
    let resnet = BackboneName::Resnet8.init::<Flex>(1, &Default::default());
    let error = load_pytorch(resnet, &golden_weights(), Some("backbone")).unwrap_err();
    assert!(matches!(error, WeightsError::Missing { .. }), "{error}");
    let error = load_pytorch(conv4(), &golden_weights(), Some("head")).unwrap_err();
    assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
    assert!(error.to_string().contains("head"), "{error}");
}

//! A backbone is found in whatever state dict holds it, and the refusal says where it differs.

use burn_flex::Flex;
use qare_models::{BackboneName, FoundBackbone, LeftOut, NamedTensor, StateDict, WeightsError, named_tensors};
use tempfile::tempdir;

use crate::torch_files::{Saved, archive, dict, file, joined, named};

type Shapes = Vec<(String, Vec<usize>)>;

fn tensors(name: BackboneName) -> Vec<NamedTensor> {
    named_tensors(&name.init::<Flex>(3, &Default::default()), "")
}

fn shapes(name: BackboneName) -> Shapes {
    tensors(name).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect()
}

fn find(saved: &Saved, wanted: Option<BackboneName>) -> Result<FoundBackbone, WeightsError> {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "weights.pt", &archive(saved));
    StateDict::read(&path)?.find_backbone(wanted)
}

/// The number that all weights of what was found are of.
fn value(found: &FoundBackbone) -> f32 {
    let tensors = named_tensors(&found.init::<Flex>(&Default::default()), "");
    let weights: Vec<f32> =
        tensors.iter().filter(|tensor| !tensor.is_batch_counter()).flat_map(|tensor| tensor.values.clone()).collect();
    assert!(weights.iter().all(|value| *value == weights[0]), "a part is not of the file");
    weights[0]
}

fn left_out(found: &FoundBackbone) -> Vec<(&str, usize)> {
    found.left_out().iter().map(|LeftOut { prefix, tensors, .. }| (prefix.as_str(), *tensors)).collect()
}

#[track_caller]
fn refused(saved: &Saved, wanted: Option<BackboneName>, words: &[&str]) {
    let error = find(saved, wanted).unwrap_err();
    assert!(matches!(error, WeightsError::NoBackbone { .. }), "{error}");
    for word in [&["weights.pt"], words].concat() {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn each_backbone_is_known_by_its_tensors_under_any_prefix() {
    for name in BackboneName::ALL {
        let shapes = shapes(name);
        let prefixes = ["", "backbone.", "_orig_mod.model.net.module.", "a.encoder.module.b."];
        // The largest ones take a second each.
        let large = matches!(name, BackboneName::Resnet18 | BackboneName::Resnet34 | BackboneName::Resnet50);
        for prefix in &prefixes[if large { 3 } else { 0 }..] {
            let found = find(&dict(prefix, &shapes, 0.5), None).unwrap();
            assert_eq!((found.name(), value(&found)), (name, 0.5), "{prefix}");
            let nested = named([("epoch", Saved::Int(3)), ("state_dict", dict(prefix, &shapes, 0.25))]);
            let found = find(&nested, None).unwrap();
            assert_eq!((found.name(), value(&found)), (name, 0.25), "{prefix}");
            assert!(found.prefix().starts_with("state_dict") && found.left_out().is_empty(), "{}", found.prefix());
        }
    }
}

#[test]
fn weights_come_back_bitwise_and_in_their_places() {
    let folder = tempdir().unwrap();
    for name in [BackboneName::Conv4, BackboneName::Resnet20] {
        let tensors = tensors(name);
        let renamed =
            |tensor: &NamedTensor| NamedTensor { name: format!("x.module.{}", tensor.name), ..tensor.clone() };
        let path = folder.path().join("weights.safetensors");
        let all: Vec<NamedTensor> = tensors.iter().rev().map(renamed).collect();
        qare_models::write_safetensors(&path, &all, None).unwrap();
        let found = StateDict::read(&path).unwrap().find_backbone(None).unwrap();
        assert_eq!(found.prefix(), "x.module");
        assert_eq!(named_tensors(&found.init::<Flex>(&Default::default()), ""), tensors);
        let other = name.init::<Flex>(9, &Default::default());
        assert_eq!(named_tensors(&found.load_into(other).unwrap(), ""), tensors);
        let wrong = BackboneName::Resnet8.init::<Flex>(9, &Default::default());
        assert!(matches!(found.load_into(wrong), Err(WeightsError::NoBackbone { .. })));
    }
}

#[test]
fn counters_are_optional() {
    let mut shapes = shapes(BackboneName::Resnet18);
    shapes.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
    let found = find(&dict("", &shapes, 2.0), None).unwrap();
    assert_eq!((found.name(), value(&found)), (BackboneName::Resnet18, 2.0));
}

#[test]
fn heads_queues_and_optimizers_are_left_out_and_said() {
    let shapes = shapes(BackboneName::Resnet18);
    let head = [("fc.0.weight".to_owned(), vec![8, 512]), ("fc.0.bias".to_owned(), vec![8])];
    let state = joined(dict("module.encoder_k.", &shapes, 1.0), dict("module.encoder_q.", &shapes, 2.0));
    let state = joined(state, dict("module.encoder_q.", &head, 0.0));
    let state = joined(state, named([("module.queue", Saved::Tensor(vec![64, 128], 0.0))]));
    let optimizer = named([
        ("state", named([("0", dict("", &shapes, 7.0))])),
        ("param_groups", Saved::List(vec![named([("lr", Saved::Int(1))])])),
    ]);
    let found = find(&named([("optimizer", optimizer), ("state_dict", state)]), None).unwrap();
    assert_eq!(value(&found), 2.0);
    assert_eq!(found.prefix(), "state_dict.encoder_q");
    assert_eq!(
        left_out(&found),
        [("state_dict.encoder_k", 120), ("state_dict.encoder_q.fc", 2), ("state_dict.queue", 1)]
    );
    assert_eq!(
        found.to_string(),
        "resnet18 (120 tensors under `state_dict.encoder_q`); left out: `state_dict.encoder_k` (another resnet18), \
         `state_dict.encoder_q.fc` (2 tensors), `state_dict.queue`"
    );
}

#[test]
fn of_several_the_trained_one_is_taken() {
    let shapes = shapes(BackboneName::Resnet8);
    for (taken, left) in [
        ("student.backbone.", "teacher.backbone."),
        ("online_encoder.net.", "target_encoder.net."),
        ("backbone.", "momentum_backbone."),
        ("backbone.", "backbone_momentum."),
        ("model.", "model_ema.module."),
    ] {
        let found = find(&joined(dict(left, &shapes, 1.0), dict(taken, &shapes, 2.0)), None).unwrap();
        assert_eq!(value(&found), 2.0, "{taken}");
        assert_eq!(found.left_out()[0].backbone, Some(BackboneName::Resnet8));
        assert!(found.to_string().contains("another resnet8"), "{found}");
        // Alone, the other one is as good.
        assert_eq!(value(&find(&dict(left, &shapes, 1.0), None).unwrap()), 1.0);
    }
    // Of different backbones, the one that is wanted.
    let other = self::shapes(BackboneName::Conv4);
    let both = || joined(dict("student.", &shapes, 1.0), dict("teacher.", &other, 2.0));
    assert_eq!(find(&both(), None).unwrap().name(), BackboneName::Resnet8);
    assert_eq!(value(&find(&both(), Some(BackboneName::Conv4)).unwrap()), 2.0);
}

/// `nn.Sequential(*net.children())` names modules by their places, and those without tensors have places too.
#[test]
fn modules_that_are_named_by_their_places_are_matched_in_order() {
    let sequential = |name: BackboneName, places: &[(&str, &str)]| -> Shapes {
        let renamed = |(tensor, shape): (String, Vec<usize>)| {
            let (module, rest) = tensor.split_once('.').unwrap();
            let place = places.iter().find(|(known, _)| *known == module).unwrap().1;
            (format!("{place}.{rest}"), shape)
        };
        shapes(name).into_iter().map(renamed).collect()
    };
    let large =
        [("conv1", "0"), ("bn1", "1"), ("layer1", "4"), ("layer2", "5"), ("layer3", "6"), ("layer4", "7"), ("fc", "9")];
    let nested = [("conv1", "0.0"), ("bn1", "0.1"), ("layer1", "1"), ("layer2", "2"), ("layer3", "3"), ("layer4", "4")];
    let small = [("conv1", "0"), ("bn1", "1"), ("layer1", "3"), ("layer2", "4"), ("layer3", "5"), ("fc", "12")];
    for (name, places) in [
        (BackboneName::Resnet18, &large[..]),
        (BackboneName::Resnet18, &nested),
        (BackboneName::Resnet32, &small),
        (BackboneName::Conv4, &[("layer1", "0"), ("layer2", "2"), ("layer3", "4"), ("layer4", "10")]),
    ] {
        for prefix in ["", "state_dict.net.module."] {
            let found = find(&dict(prefix, &sequential(name, places), 3.0), None).unwrap();
            assert_eq!((found.name(), value(&found)), (name, 3.0), "{prefix}");
        }
    }
    let head = [("9.weight".to_owned(), vec![1000, 512]), ("9.bias".to_owned(), vec![1000])];
    let whole = joined(dict("f.", &sequential(BackboneName::Resnet18, &large), 1.0), dict("f.", &head, 0.0));
    let found = find(&whole, None).unwrap();
    assert_eq!(left_out(&found), [("f.9", 2)]);
}

#[test]
fn names_of_transformers_are_understood() {
    let mut shapes = shapes(BackboneName::Resnet18);
    for (name, _) in &mut shapes {
        let parts: Vec<&str> = name.split('.').collect();
        let kind = |module: &str| if module.starts_with("conv") { "convolution" } else { "normalization" };
        let number =
            |module: &str| module.trim_start_matches(|c: char| c.is_alphabetic()).parse::<usize>().unwrap() - 1;
        *name = match parts[..] {
            [stem, leaf] => format!("resnet.embedder.embedder.{}.{leaf}", kind(stem)),
            [layer, block, "downsample", place, leaf] => {
                let kind = if place == "0" { "convolution" } else { "normalization" };
                format!("resnet.encoder.stages.{}.layers.{block}.shortcut.{kind}.{leaf}", number(layer))
            }
            [layer, block, module, leaf] => {
                let (stage, inner) = (number(layer), number(module));
                format!("resnet.encoder.stages.{stage}.layers.{block}.layer.{inner}.{}.{leaf}", kind(module))
            }
            _ => panic!("{name}"),
        };
    }
    let found = find(&dict("", &shapes, 1.5), None).unwrap();
    assert_eq!((found.name(), value(&found)), (BackboneName::Resnet18, 1.5));
}

#[test]
fn what_fits_nothing_is_told_with_the_nearest_and_the_first_differences() {
    // A network for small images under the names of the large one.
    let mut small = shapes(BackboneName::Resnet18);
    small[0].1 = vec![64, 3, 3, 3];
    assert_eq!(small[0].0, "conv1.weight");
    let words = ["nearest is resnet18 under `net`", "`net.conv1.weight` is [64, 3, 3, 3], expected [64, 3, 7, 7]"];
    refused(&dict("net.", &small, 1.0), None, &[&words[..], &["small images"]].concat());

    // One with blocks of three convolutions.
    let mut deep = shapes(BackboneName::Resnet34);
    for (name, shape) in &mut deep {
        if name.ends_with("conv1.weight") && name.starts_with("layer") {
            shape[2..].fill(1);
        }
    }
    deep.push(("layer1.0.conv3.weight".to_owned(), vec![256, 64, 1, 1]));
    let words = [
        "nearest is resnet34",
        "`layer1.0.conv1.weight` is [64, 64, 1, 1], expected [64, 64, 3, 3]",
        "`layer1.0.conv3.weight` [256, 64, 1, 1] is not a part of resnet34",
        "and 14 more differences",
    ];
    refused(&dict("", &deep, 1.0), None, &words);

    // A part of one.
    let mut part = shapes(BackboneName::Resnet8);
    part.retain(|(name, _)| name != "layer3.0.bn2.running_var");
    refused(&dict("", &part, 1.0), None, &["nearest is resnet8", "`layer3.0.bn2.running_var` [64] is missing"]);

    // A network that has all of another one's tensors, and more.
    let mut more = shapes(BackboneName::Resnet18);
    more.push(("layer1.0.se.fc1.weight".to_owned(), vec![4, 64, 1, 1]));
    refused(&dict("", &more, 1.0), None, &["`layer1.0.se.fc1.weight` [4, 64, 1, 1] is not a part of resnet18"]);

    // Another one than the one that is wanted.
    let large = dict("m.", &shapes(BackboneName::Resnet34), 1.0);
    refused(&large, Some(BackboneName::Resnet18), &["holds resnet34 under `m`, not resnet18"]);

    // None at all.
    let none = [("blocks.0.attn.qkv.weight".to_owned(), vec![12, 4])];
    refused(&dict("", &none, 1.0), None, &["none of its 1 tensors", "`blocks.0.attn.qkv.weight` [12, 4]", "resnet34"]);
}

#[test]
fn numbers_that_are_not_finite_are_told_with_file_and_tensor() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut shapes = shapes(BackboneName::Resnet8);
        let last = shapes.split_off(40);
        let error = find(&joined(dict("a.", &shapes, 1.0), dict("a.", &last[..1], bad)), None).unwrap_err();
        assert!(matches!(error, WeightsError::NoBackbone { .. }), "incomplete: {error}");
        let saved = joined(dict("a.", &shapes, 1.0), dict("a.", &last, bad));
        let error = find(&saved, None).unwrap_err();
        assert!(matches!(&error, WeightsError::NotFinite { name, .. } if name.starts_with("a.")), "{error}");
        assert!(error.to_string().contains("weights.pt"), "{error}");
    }
    // What is left out may be anything.
    let queue = named([("queue", Saved::Tensor(vec![3], f32::NAN))]);
    find(&joined(dict("", &shapes(BackboneName::Conv4), 1.0), queue), None).unwrap();
}

//! The golden backbones on both CPU backends, and their weights written and read again.

use burn::backend::Autodiff;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{Backbone, NamedTensor, StateDict, load_safetensors, named_tensors, save_safetensors};

use crate::golden_backbone::{self, Weights, golden_files};

#[test]
fn flex_agrees_with_the_reference() {
    golden_backbone::check::<Autodiff<Flex>>("flex");
}

/// The layers one by one, as on other backends (see `cpu_blocks`).
#[test]
fn flex_by_layers_agrees_with_the_reference() {
    golden_backbone::check::<Autodiff<Flex, burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing>>(
        "flex, by layers",
    );
}

/// More digits than TF32 has are within its bounds.
#[test]
fn flex_is_within_the_bounds_of_tf32() {
    golden_backbone::check_tf32::<Autodiff<Flex>>("flex");
}

#[test]
fn ndarray_agrees_with_the_reference() {
    golden_backbone::check::<Autodiff<NdArray>>("ndarray");
}

/// What is saved has exactly the names, shapes and values of the reference's state_dict.
#[test]
fn the_reference_s_weights_survive_a_round_trip() {
    let device = Default::default();
    let folder = tempfile::tempdir().unwrap();
    for golden in golden_files() {
        let Weights::File(weights) = &golden.weights else { continue };
        let reference = StateDict::read_pytorch(weights, Some("backbone")).unwrap();
        let backbone: Backbone<Flex> = golden.name.init(0, &device);
        let backbone = reference.load_into(backbone, "").unwrap();

        let path = folder.path().join("weights.safetensors");
        save_safetensors(&backbone, "backbone", &path).unwrap();
        let other: Backbone<Flex> = golden.name.init(1, &device);
        let other = load_safetensors(other, "backbone", &path).unwrap();

        let mut saved = named_tensors(&other, "");
        saved.sort_by(|a, b| a.name.cmp(&b.name));
        let expected: Vec<NamedTensor> = reference.names().map(|name| reference.tensor(name).unwrap()).collect();
        assert_eq!(saved, expected, "{}", golden.label);
    }
}

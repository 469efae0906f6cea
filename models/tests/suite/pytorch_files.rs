//! Files that `torch.save` (PyTorch 2) has written, in `tests/checkpoints`, against the same tensors in safetensors.
//!
//! `checkpoint_*` is a checkpoint in the reference's form: small networks as "backbone" and "head", the state of an Adam
//! that has made three steps, and numbers; as a zip archive, in the format before, and with pickle's protocol 4.
//! `odd_*` has what else can be in a checkpoint: DataParallel, `torch.compile`, other precisions, views of storages, bare
//! parameters, and Python objects of many kinds. `model*.pt` hold modules instead of their state_dict.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn_flex::Flex;
use qare_models::{
    BackboneName, LinearClassifierConfig, NamedTensor, ProjectionHeadConfig, StateDict, WeightsError, load_pytorch,
    named_tensors, save_safetensors,
};
use zip::CompressionMethod::Stored;

use crate::torch_files::{self, tensor, text, zip};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

fn tensors(state: &StateDict) -> BTreeMap<String, NamedTensor> {
    let floats = state
        .names()
        .filter(|name| state.element_type(name).unwrap().contains("float") || name.ends_with("num_batches_tracked"));
    floats.map(|name| (name.to_owned(), state.tensor(name).unwrap())).collect()
}

#[test]
fn checkpoints_have_the_tensors_that_were_saved() {
    for (expected, files) in [
        ("checkpoint.safetensors", &["checkpoint_zip.tar", "checkpoint_legacy.tar", "checkpoint_protocol4.pth"][..]),
        ("odd.safetensors", &["odd_zip.pt", "odd_legacy.pt"][..]),
    ] {
        let expected = StateDict::read(&file(expected)).unwrap();
        for name in files {
            let found = StateDict::read(&file(name)).unwrap();
            assert_eq!(tensors(&found), tensors(&expected), "{name}");
        }
    }
}

#[test]
fn names_say_which_module_a_tensor_is_of() {
    let state = StateDict::read(&file("checkpoint_legacy.tar")).unwrap();
    assert!(state.has_prefix("backbone") && state.has_prefix("head"));
    assert!(!state.has_prefix("optimizer") && !state.has_prefix("classifier"));
    assert_eq!(state.prefix_or_root("backbone"), "backbone");
    assert_eq!(state.tensor("backbone.bn.num_batches_tracked").unwrap().values, [3.0]);
    assert_eq!(state.shape("head.linear1.weight").unwrap(), [5, 4]);
    let config = ProjectionHeadConfig::new(4).with_hidden(5).with_output(2);
    state.load_into(config.init::<Flex>(1, &Default::default()), "head").unwrap();

    // Bare: of one dictionary, or saved as such.
    let state = StateDict::read_pytorch(&file("checkpoint_zip.tar"), Some("backbone")).unwrap();
    assert_eq!(state.prefix_or_root("backbone"), "");
    assert_eq!(state.shape("conv.weight").unwrap(), [4, 3, 3, 3]);
}

#[test]
fn a_format_is_known_by_its_contents() {
    let folder = tempfile::tempdir().unwrap();
    let device = Default::default();
    let classifier = LinearClassifierConfig::new(3, 2).init::<Flex>(1, &device);
    let path = folder.path().join("weights.pt");
    save_safetensors(&classifier, "classifier", &path).unwrap();
    let state = StateDict::read(&path).unwrap();
    let other = state.load_into(LinearClassifierConfig::new(3, 2).init::<Flex>(2, &device), "classifier").unwrap();
    assert_eq!(named_tensors(&other, ""), named_tensors(&classifier, ""));

    let copy = folder.path().join("weights.safetensors");
    std::fs::copy(file("checkpoint_zip.tar"), &copy).unwrap();
    assert!(StateDict::read(&copy).unwrap().has_prefix("backbone"));

    let mut archive = vec![0; 1024];
    archive[257..262].copy_from_slice(b"ustar");
    for (bytes, told) in [
        (&b""[..], "empty"),
        (b"what is this", "neither"),
        (&archive, "tar archive"),
        // A pickle that is none of torch.save.
        (b"\x80\x02}q\x00.", "neither"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = StateDict::read(&path).unwrap_err();
        assert!(matches!(error, WeightsError::UnknownFormat { .. }), "{error}");
        assert!(error.to_string().contains(told) && error.to_string().contains("weights.pt"), "{error}");
    }
    assert!(matches!(StateDict::read(Path::new("no/such/file")), Err(WeightsError::Io { .. })));
}

#[test]
fn a_model_in_place_of_its_state_dict_is_an_error_that_says_so() {
    for name in ["model.pt", "model_inside.pt"] {
        let error = StateDict::read(&file(name)).unwrap_err();
        assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
        assert!(error.to_string().contains("state_dict()"), "{error}");
    }
}

#[test]
fn a_tensor_of_integers_is_an_error_where_a_weight_is_wanted() {
    // `when` is a tensor of integers in the file.
    let state = StateDict::read(&file("odd_zip.pt")).unwrap();
    assert_eq!(state.element_type("when"), Some("int64"));
    assert!(matches!(state.tensor("when"), Err(WeightsError::Type { .. })));
    let classifier = LinearClassifierConfig::new(3, 2).init::<Flex>(1, &Default::default());
    let error = state.load_into(classifier, "when").unwrap_err();
    assert!(matches!(error, WeightsError::Missing { .. }), "{error}");
    let head = burn::module::Param::from_tensor(burn::tensor::Tensor::<Flex, 1>::zeros([1], &Default::default()));
    let error = state.load_into(head, "when").unwrap_err();
    assert!(matches!(&error, WeightsError::Type { found, .. } if *found == "int64"), "{error}");
}

#[test]
fn a_checkpoint_of_another_network_is_an_error() {
    let conv4 = BackboneName::Conv4.init::<Flex>(1, &Default::default());
    let error = load_pytorch(conv4, &file("checkpoint_zip.tar"), Some("backbone")).unwrap_err();
    assert!(matches!(error, WeightsError::Missing { .. }), "{error}");
}

#[test]
fn a_key_that_is_not_there_is_an_error_that_names_those_that_are() {
    let error = StateDict::read_pytorch(&file("checkpoint_zip.tar"), Some("model")).unwrap_err();
    assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
    let told = error.to_string();
    assert!(["no dictionary `model`", "`backbone`", "`head`"].iter().all(|name| told.contains(name)), "{told}");
}

/// A sparse, a quantized and a `meta` tensor, as PyTorch 2 pickles them, beside one that can be read.
#[test]
fn a_tensor_that_is_no_numbers_in_a_row_is_named_by_its_kind() {
    let mut pickle = b"\x80\x02}(".to_vec();
    let sparse = |layout: &str, indices: usize| {
        let mut call = b"ctorch._utils\n_rebuild_sparse_tensor\nctorch.serialization\n_get_layout\n".to_vec();
        text(&mut call, layout);
        call.extend(b"\x85R(");
        (0..=indices).for_each(|_| call.extend(tensor("0", 3, 0, &[3], &[1])));
        call.extend(b"ctorch\nSize\nK\x04K\x05\x86\x85R\x88t\x86R");
        call
    };
    let quantized = b"ctorch._utils\n_rebuild_qtensor\n((X\x07\0\0\0storagectorch\nQInt8Storage\nX\x01\0\0\0qX\x03\0\0\0cpuK\x14tQK\0K\x04K\x05\x86K\x05K\x01\x86NtR";
    let meta = b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\nK\x04K\x05\x86K\x05K\x01\x86\x89tR";
    for (name, call) in [
        ("plain", tensor("0", 3, 0, &[3], &[1])),
        ("coo", sparse("torch.sparse_coo", 1)),
        ("csr", sparse("torch.sparse_csr", 2)),
        ("int8", quantized.to_vec()),
        ("meta", meta.to_vec()),
    ] {
        text(&mut pickle, name);
        pickle.extend(call);
    }
    pickle.extend(b"u.");
    let bytes = zip(&pickle, [("data/0".to_owned(), vec![0; 12])], Stored);
    let folder = tempfile::tempdir().unwrap();
    let state = StateDict::read(&torch_files::file(folder.path(), "odd.pt", &bytes)).unwrap();
    assert_eq!(state.tensor("plain").unwrap().values, [0.0; 3]);
    for (name, kind) in [("coo", "sparse"), ("csr", "sparse"), ("int8", "quantized"), ("meta", "meta")] {
        assert_eq!(state.shape(name), Some(&[4, 5][..]), "{name}");
        let error = state.tensor(name).unwrap_err();
        assert!(matches!(&error, WeightsError::Type { found, .. } if *found == kind), "{error}");
    }
}

//! Burn's own records: what is written is what stock Burn reads.

use burn::backend::Autodiff;
use burn::module::Module;
use burn::record::{FullPrecisionSettings, NamedMpkFileRecorder};
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{BackboneName, WeightsError, named_tensors, record_bytes, save_record};

#[test]
fn stock_burn_reads_a_record_bitwise() {
    let folder = tempfile::tempdir().unwrap();
    let device = Default::default();
    let recorder = NamedMpkFileRecorder::<FullPrecisionSettings>::new();
    for name in [BackboneName::Conv4, BackboneName::Resnet8, BackboneName::Resnet18] {
        let backbone = name.init::<Autodiff<Flex>>(1, &device);
        // So that running statistics are not the initial ones.
        backbone.forward(Tensor::random([4, 3, 16, 16], Distribution::Default, &device));
        let path = folder.path().join(format!("{name}.mpk"));
        save_record(&backbone, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), record_bytes(&backbone).len());

        let without_extension = folder.path().join(name.as_str());
        let expected = named_tensors(&backbone, "");
        let other = name.init::<Flex>(2, &device).load_file(&without_extension, &recorder, &device).unwrap();
        assert_eq!(named_tensors(&other, ""), expected, "{name}");
        let device = Default::default();
        let other = name.init::<NdArray>(2, &device).load_file(&without_extension, &recorder, &device).unwrap();
        assert_eq!(named_tensors(&other, ""), expected, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_io_error() {
    let backbone = BackboneName::Conv4.init::<Flex>(1, &Default::default());
    let error = save_record(&backbone, "no/such/folder/backbone.mpk".as_ref()).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }), "{error}");
}

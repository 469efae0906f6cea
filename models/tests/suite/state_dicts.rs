//! Files that real libraries write, made by `tests/make_state_dicts.py`: the backbone is found, and its features are
//! PyTorch's; or the refusal says why.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use qare_models::StateDict;
use serde_json::Value;

/// Differences of features, relative to the largest one, that rounding in another order makes.
const BOUND: f32 = 1e-4;

#[test]
fn state_dicts_of_other_libraries_make_their_features() {
    let Some(folder) = std::env::var_os("QARE_STATE_DICTS") else {
        eprintln!("left out: QARE_STATE_DICTS names no folder of make_state_dicts.py");
        return;
    };
    let folder = Path::new(&folder);
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert!(expected.len() > 40, "{} files", expected.len());
    let image = StateDict::read(&folder.join("image.safetensors")).unwrap().tensor("image").unwrap();
    let device = Default::default();
    let image = Tensor::<Flex, 4>::from_data(TensorData::new(image.values, image.shape), &device);

    for (name, expected) in &expected {
        let found = StateDict::read(&folder.join(name)).and_then(|state| state.find_backbone(None));
        if let Some(words) = expected.get("refused") {
            let error = found.unwrap_err().to_string();
            for word in words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()) {
                assert!(error.contains(word) && error.contains(name), "{name}: `{word}` is not in: {error}");
            }
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.name().as_str(), expected["backbone"], "{name}");
        assert_eq!(found.prefix(), expected["prefix"], "{name}");
        let features = found.init::<Flex>(&device).forward(image.clone()).into_data().into_vec::<f32>().unwrap();
        let pytorchs: Vec<f32> =
            expected["features"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
        assert_eq!(features.len(), pytorchs.len(), "{name}");
        let largest = pytorchs.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let off = features.iter().zip(&pytorchs).fold(0.0f32, |off, (one, other)| off.max((one - other).abs()));
        assert!(off <= BOUND * largest, "{name}: off by {off} of {largest}");
        println!("{name}: off by {:e}", off / largest);
    }
}

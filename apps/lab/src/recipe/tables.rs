//! The tables of a recipe.

use std::fmt;
use std::marker::PhantomData;

use qare_data::DatasetName;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Deserializes a table of settings. A list of their values in order is an error: serde would accept it.
pub(super) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    struct Table<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a table of settings")
        }

        fn visit_map<A: MapAccess<'de>>(self, settings: A) -> std::result::Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(settings))
        }
    }
    deserializer.deserialize_map(Table(PhantomData))
}

/// Weights of the terms of `deepinfomax`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoMaxRecipe {
    /// Mutual information of the features and each position of the feature maps.
    pub local: f64,
    /// Mutual information of the features and the feature maps as a whole.
    pub global: f64,
    /// Matching of the features to a uniform prior.
    pub prior: f64,
}

/// Settings of the k-nearest-neighbour accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnnRecipe {
    /// Number of neighbours, k.
    pub neighbours: usize,
    /// Temperature τ of the votes exp(cosine/τ).
    pub temperature: f64,
    /// Number of queries of the validation during training, drawn from the training split and held out of the bank. Training sees
    /// these images, without their labels.
    pub held_out: usize,
    /// Number of images in the bank of the validation during training.
    pub bank: usize,
}

/// Settings of the linear probe and of fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeRecipe {
    /// Seed of the probe; by default that of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Number of epochs.
    pub epochs: usize,
    /// Number of images in a batch.
    #[serde(alias = "data_size")]
    pub batch_size: usize,
    /// Learning rate of the linear probe.
    pub learning_rate: f64,
    /// Dataset of the probe; by default that of the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetName>,
    /// Fine-tune the backbone together with the classifier.
    pub finetune: bool,
    /// In fine-tuning, train on affine views with random erasing.
    pub augment: bool,
}

impl Default for InfoMaxRecipe {
    fn default() -> Self {
        Self { local: 1.0, global: 0.0, prior: 0.1 }
    }
}

impl Default for KnnRecipe {
    fn default() -> Self {
        Self { neighbours: 200, temperature: 0.1, held_out: 2000, bank: 10_000 }
    }
}

impl Default for ProbeRecipe {
    fn default() -> Self {
        Self {
            seed: None,
            epochs: 100,
            batch_size: 128,
            learning_rate: 1e-3,
            dataset: None,
            finetune: false,
            augment: false,
        }
    }
}

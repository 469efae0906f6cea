//! The metadata of an exported backbone, and the preparation of its images.

use std::collections::BTreeMap;

use qare_data::{DatasetName, Normalization, folder};
use qare_models::BackboneName;
use serde_json::json;

use crate::error::{LabError, Result};
use crate::precision::Precision;
use crate::printable_path::PrintablePath;
use crate::recipe::{Recipe, SIZES};
use crate::runs::checkpoint::{Checkpoint, ORIGIN};
use crate::version::{COMMIT, VERSION};

/// Settings that are paths. They mean nothing on another machine and may reveal private names, so an export leaves them out.
const PATHS: [&str; 3] = ["checkpoint", "data_dir", "out"];

/// The metadata of an exported backbone. Unknown values are `None`.
pub struct Facts {
    pub backbone: BackboneName,
    /// Whether another program trained the backbone, possibly before fine-tuning.
    pub foreign: bool,
    pub dataset: Option<DatasetName>,
    /// Height and width of the input images.
    pub size: Option<usize>,
    pub normalization: Option<Normalization>,
    /// Class names of the training images, in the order of the labels.
    pub classes: Option<Vec<String>>,
    /// The settings of the run as TOML, without paths.
    pub recipe: Option<String>,
    pub epoch: Option<usize>,
    /// The default precision of `embed`.
    pub precision: Precision,
    /// Whether `embed` writes embeddings by default, and not features.
    pub has_embedding: bool,
}

/// Returns the dataset that a backbone was last trained on: the dataset of the probe after fine-tuning, else that of the run.
pub fn trained_on(checkpoint: &Checkpoint) -> DatasetName {
    if is_tuned(checkpoint) { checkpoint.recipe.probed() } else { checkpoint.recipe.dataset }
}

fn is_tuned(checkpoint: &Checkpoint) -> bool {
    checkpoint.recipe.probe.finetune && checkpoint.weights.has_prefix("classifier")
}

impl Facts {
    /// Collects the metadata of a checkpoint. `stated` and `size` are the values given by the user for weights of another program.
    ///
    /// # Errors
    /// If `stated` or `size` contradicts the checkpoint, or `size` is out of range.
    pub fn of(checkpoint: &Checkpoint, stated: Option<DatasetName>, size: Option<usize>) -> Result<Self> {
        if let Some(size) = size.filter(|size| !SIZES.contains(size)) {
            let (least, most) = SIZES.into_inner();
            return Err(LabError::Usage(format!("--image-size {size}: expected a size from {least} to {most}")));
        }
        let recipe = &checkpoint.recipe;
        let classes = checkpoint.classes.clone();
        let facts = |dataset: Option<DatasetName>, size, recipe: Option<String>| Self {
            backbone: checkpoint.recipe.backbone,
            foreign: checkpoint.foreign,
            dataset,
            size,
            normalization: dataset.map(DatasetName::normalization),
            classes: classes.filter(|_| recipe.is_some()),
            epoch: recipe.as_ref().filter(|_| !checkpoint.foreign).map(|_| checkpoint.epoch),
            recipe,
            precision: checkpoint.recipe.precision,
            has_embedding: checkpoint.has_embedding(),
        };
        // The recipe of a linear probe does not describe the training of weights of another program.
        if checkpoint.foreign && !is_tuned(checkpoint) {
            return Ok(facts(stated, size.or(stated.and_then(DatasetName::side)), None));
        }
        let (dataset, file) = (trained_on(checkpoint), checkpoint.file.printable());
        if let Some(stated) = stated.filter(|stated| *stated != dataset) {
            return Err(LabError::Usage(format!("--trained-on {stated}: {file} was trained on {dataset}")));
        }
        let trained_at = recipe.image_size.or(dataset.side()).unwrap_or(folder::SIDE);
        if let Some(size) = size.filter(|size| *size != trained_at) {
            return Err(LabError::Usage(format!(
                "--image-size {size}: {file} was trained on images of {trained_at}×{trained_at}"
            )));
        }
        Ok(facts(Some(dataset), Some(trained_at), Some(without_paths(recipe))))
    }

    /// Returns the metadata as text. Values that are not a single word or number are JSON.
    pub fn metadata(&self, checkpoint: &Checkpoint) -> BTreeMap<&'static str, String> {
        // f32 values print with the digits of their source text.
        let triple = |values: [f32; 3]| serde_json::to_string(&values).expect("plain numbers");
        // This entry identifies the weights as a file of this program.
        let origin = self.recipe.as_ref().map(|recipe| checkpoint.origin_with(recipe.clone()));
        let entries = [
            (ORIGIN, origin),
            // Other programs recognise PyTorch tensors by this entry.
            ("format", Some("pt".to_string())),
            ("architecture", Some(self.backbone.to_string())),
            ("feature_dim", Some(self.backbone.feature_dim().to_string())),
            ("input_size", self.size.map(|size| size.to_string())),
            ("resize", Some(self.resize())),
            ("resize_rule", Some(resize_rule().to_string())),
            ("mean", self.normalization.map(|normalization| triple(normalization.mean))),
            ("std", self.normalization.map(|normalization| triple(normalization.std))),
            ("dataset", self.dataset.map(|dataset| dataset.to_string())),
            ("classes", self.classes.as_ref().map(|classes| json!(classes).to_string())),
            ("version", Some(VERSION.to_string())),
            ("commit", Some(COMMIT.to_string())),
            ("recipe", self.recipe.clone()),
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("foreign", Some(self.foreign.to_string())),
            ("unknown", Some(json!(self.unknown()).to_string())),
        ];
        entries.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
    }

    /// Returns the keys whose values are unknown.
    pub fn unknown(&self) -> Vec<&'static str> {
        let known = [
            ("input_size", self.size.is_some()),
            ("mean", self.normalization.is_some()),
            ("std", self.normalization.is_some()),
            ("dataset", self.dataset.is_some()),
            ("classes", self.classes.is_some()),
            ("recipe", self.recipe.is_some()),
            ("epoch", self.epoch.is_some()),
        ];
        known.into_iter().filter(|(_, known)| !known).map(|(key, _)| key).collect()
    }

    /// Describes how an image is resized.
    pub fn resize(&self) -> String {
        let side = self.size.map_or("input_size".to_string(), |size| size.to_string());
        format!(
            "The image is rotated upright according to its EXIF orientation and converted to 8-bit RGB; transparency is dropped. \
             Its shorter side is resized to {side} pixels (bilinear with antialiasing, as in Pillow, width before height) and the \
             longer side in proportion, rounded down. The central {side}×{side} pixels are cropped; a half-pixel offset is rounded \
             to even. An image whose long side is more than {} times its short side is first cropped to that ratio around its \
             centre. An image of {side}×{side} keeps its pixels.",
            LONGEST
        )
    }
}

/// Maximum ratio of the long to the short side. Longer images are cropped to it before they are resized.
pub(super) const LONGEST: usize = 16;

/// The rule of [`Facts::resize`] as JSON for programs. The size is the entry `input_size`.
fn resize_rule() -> serde_json::Value {
    json!({
        "orientation": "exif",
        "mode": "RGB",
        "longest": LONGEST,
        "shorter_side": "input_size",
        "longer_side": "floor",
        "interpolation": "bilinear",
        "antialias": true,
        "passes": ["width", "height"],
        "crop": "center",
        "crop_offset": "half to even",
    })
}

/// Returns the settings as TOML without paths. A comment in the first line names the settings left out.
pub(crate) fn without_paths(recipe: &Recipe) -> String {
    let table = toml::Table::try_from(recipe).expect("a recipe is plain TOML");
    let (table, left_out) = split_off_paths(table, "");
    let text = toml::to_string(&table).expect("a recipe is plain TOML");
    format!("# Left out, because they are paths on the training machine: {}\n{text}", left_out.join(", "))
}

/// Splits settings into those that are not paths and the names of those that are.
fn split_off_paths(table: toml::Table, prefix: &str) -> (toml::Table, Vec<String>) {
    let (mut kept, mut left_out) = (toml::Table::new(), Vec::new());
    for (name, value) in table {
        let full = format!("{prefix}{name}");
        match value {
            toml::Value::Table(inner) => {
                let (inner, paths) = split_off_paths(inner, &format!("{full}."));
                kept.insert(name, toml::Value::Table(inner));
                left_out.extend(paths);
            }
            toml::Value::String(text) if PATHS.contains(&full.as_str()) || text.contains(['/', '\\']) => {
                left_out.push(full);
            }
            value => {
                kept.insert(name, value);
            }
        }
    }
    (kept, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_goes_out_without_paths() {
        let secret = |name: &str| Some(format!("/home/someone/{name}").into());
        let recipe = Recipe {
            data_dir: secret("data"),
            out: secret("runs").unwrap(),
            checkpoint: secret("start.pt"),
            alpha: 0.7,
            ..Default::default()
        };
        let text = without_paths(&recipe);
        assert!(!text.contains("someone"), "{text}");
        assert!(text.lines().next().unwrap().ends_with(": checkpoint, data_dir, out"), "{text}");
        let defaults = Recipe::default();
        let expected = Recipe { data_dir: None, out: defaults.out, checkpoint: None, ..recipe };
        assert_eq!(Recipe::parse(&text).unwrap(), expected);
    }

    #[test]
    fn any_setting_that_holds_a_path_is_left_out() {
        let text = "id = \"name\"\nnew = \"/secret\"\n[probe]\nother = 'C:\\secret'\nepochs = 3\n";
        let (table, left_out) = split_off_paths(text.parse().unwrap(), "");
        assert_eq!(left_out, ["new", "probe.other"]);
        assert_eq!(table.to_string(), "id = \"name\"\n\n[probe]\nepochs = 3\n");
    }
}

//! What is known about a backbone, and how its images are prepared.

use std::collections::BTreeMap;

use qare_data::{DatasetName, Normalization, folder};
use qare_models::BackboneName;
use serde_json::json;

use crate::error::{LabError, Result};
use crate::precision::Precision;
use crate::recipe::{Recipe, SIZES};
use crate::runs::checkpoint::{Checkpoint, ORIGIN};
use crate::version::{COMMIT, VERSION};

/// Settings that are paths of the machine that trained: they mean nothing elsewhere, and may tell more than is meant to be told.
const PATHS: [&str; 3] = ["checkpoint", "data_dir", "out"];

/// What an export says of its backbone. What is not known is none.
pub struct Facts {
    pub backbone: BackboneName,
    /// Whether another program trained it first.
    pub foreign: bool,
    pub dataset: Option<DatasetName>,
    /// Height and width of its images.
    pub size: Option<usize>,
    pub normalization: Option<Normalization>,
    /// Names of the classes in the images trained on, in the order of their labels.
    pub classes: Option<Vec<String>>,
    /// The settings of the run as TOML, without paths.
    pub recipe: Option<String>,
    pub epoch: Option<usize>,
    /// What `embed` computes in, unless it is told otherwise.
    pub precision: Precision,
}

/// The dataset that a backbone was trained on last: fine-tuning sees that of its probe.
pub fn trained_on(checkpoint: &Checkpoint) -> DatasetName {
    match is_tuned(checkpoint) {
        true => checkpoint.recipe.probed(),
        false => checkpoint.recipe.dataset,
    }
}

fn is_tuned(checkpoint: &Checkpoint) -> bool {
    checkpoint.recipe.probe.finetune && checkpoint.weights.has_prefix("classifier")
}

impl Facts {
    /// Of a checkpoint, and of a call that may say what weights of another program do not.
    pub fn of(checkpoint: &Checkpoint, stated: Option<DatasetName>, size: Option<usize>) -> Result<Self> {
        if let Some(size) = size.filter(|size| !SIZES.contains(size)) {
            let (least, most) = SIZES.into_inner();
            return Err(LabError::Usage(format!("--image-size {size}: it has to be from {least} to {most}")));
        }
        let recipe = &checkpoint.recipe;
        let classes = checkpoint.classes.clone();
        let of = |dataset: Option<DatasetName>, size, recipe: Option<String>| Self {
            backbone: checkpoint.recipe.backbone,
            foreign: checkpoint.foreign,
            dataset,
            size,
            normalization: dataset.map(DatasetName::normalization),
            classes: classes.filter(|_| recipe.is_some()),
            epoch: recipe.as_ref().filter(|_| !checkpoint.foreign).map(|_| checkpoint.epoch),
            recipe,
            precision: checkpoint.recipe.precision,
        };
        // Who only probed the weights of another program did not train them, and knows no more of them than their file.
        if checkpoint.foreign && !is_tuned(checkpoint) {
            return Ok(of(stated, size.or(stated.and_then(DatasetName::side)), None));
        }
        let (dataset, file) = (trained_on(checkpoint), checkpoint.file.display());
        if let Some(stated) = stated.filter(|stated| *stated != dataset) {
            return Err(LabError::Usage(format!("--trained-on {stated}: {file} was trained on {dataset}")));
        }
        let trained_at = recipe.image_size.or(dataset.side()).unwrap_or(folder::SIDE);
        if let Some(size) = size.filter(|size| *size != trained_at) {
            return Err(LabError::Usage(format!(
                "--image-size {size}: {file} was trained on images of {trained_at}×{trained_at}"
            )));
        }
        Ok(of(Some(dataset), Some(trained_at), Some(without_paths(recipe))))
    }

    /// The facts as texts, those of more than a word or a number as JSON.
    pub fn metadata(&self, checkpoint: &Checkpoint) -> BTreeMap<&'static str, String> {
        // As f32 they have the digits that they were written with.
        let triple = |values: [f32; 3]| serde_json::to_string(&values).expect("plain numbers");
        // By which this program knows its own weights again.
        let origin = self.recipe.as_ref().map(|recipe| checkpoint.origin_with(recipe.clone()));
        let entries = [
            (ORIGIN, origin),
            // By which other programs know that the tensors are PyTorch's.
            ("format", Some("pt".to_string())),
            ("architecture", Some(self.backbone.to_string())),
            ("feature_dim", Some(self.backbone.feature_dim().to_string())),
            ("input_size", self.size.map(|size| size.to_string())),
            ("resize", Some(self.resize())),
            ("resize_rule", Some(resize_rule().to_string())),
            ("mean", self.normalization.map(|of| triple(of.mean))),
            ("std", self.normalization.map(|of| triple(of.std))),
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

    /// The keys of what is not known.
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

    /// How an image gets its size, in words.
    pub fn resize(&self) -> String {
        let side = self.size.map_or("input_size".to_string(), |size| size.to_string());
        format!(
            "The image is turned upright by its EXIF orientation and becomes 8-bit RGB; transparency is dropped. Its shorter side \
             is resized to {side} pixels (bilinear with antialiasing, in Pillow's arithmetic, widths before heights) and the longer one along with \
             it, rounded down. The middle {side}×{side} is cut out, a half pixel rounded to the even side. Of an image more than {} \
             times as long as wide, only the middle of that length is resized. An image of {side}×{side} keeps its pixels.",
            LONGEST
        )
    }
}

/// Beyond so many times its width, the length of an image is cut off before it is resized.
const LONGEST: usize = 16;

/// The same for programs; the size is `input_size`.
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

/// The settings as TOML, with a line that names the paths left out.
fn without_paths(recipe: &Recipe) -> String {
    let table = toml::Table::try_from(recipe).expect("a recipe is plain TOML");
    let (table, left_out) = split_off_paths(table, "");
    let text = toml::to_string(&table).expect("a recipe is plain TOML");
    format!("# Left out, being paths of the machine that trained: {}\n{text}", left_out.join(", "))
}

/// The settings that are no paths, and the names of those that are.
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

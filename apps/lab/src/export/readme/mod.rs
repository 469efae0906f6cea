//! The README beside an export: its contents, its use, and what is unknown.

mod usage;

use super::facts::Facts;
use super::onnx::Model;
use crate::markdown::cell;
use crate::version::{COMMIT, VERSION};

/// The first line of the README. A file that starts with it may be replaced by the next export.
pub const MARK: &str =
    "<!-- written by `qare export`, which replaces this file with the next export of that name -->\n";

/// Maximum number of class names in the README. The metadata has all of them.
const MAX_CLASSES: usize = 100;

/// Returns the README of weights under PyTorch's names.
pub fn of_safetensors(facts: &Facts, file: &str) -> String {
    let format = "PyTorch's names and layouts, as safetensors, in f32";
    document(facts, file, format, &usage::of_safetensors(facts, file), NO_CLASSIFIER, facts.classes.as_deref())
}

/// Returns the README of an ONNX model. `classes` are those of the classifier, if there is one.
pub fn of_onnx(facts: &Facts, file: &str, model: &Model, classes: Option<&[String]>) -> String {
    let of_head = model.outputs.iter().find(|output| output.name == "embedding");
    let head = of_head.map_or(String::new(), |output| format!(", and those to an embedding of {}", output.width));
    let rest = match classes {
        Some(names) => format!("{head}; a linear classifier maps them to scores of {} classes.", names.len()),
        None => format!("{head}{NO_CLASSIFIER}"),
    };
    let names = classes.or(facts.classes.as_deref());
    document(facts, file, "ONNX, IR version 8, operators 18, in f32", &usage::of_onnx(facts, file, model), &rest, names)
}

/// Returns the README of a record of Burn.
pub fn of_record(facts: &Facts, file: &str) -> String {
    let format = "a record of Burn (named MessagePack, full precision)";
    document(facts, file, format, &usage::of_record(facts, file), NO_CLASSIFIER, facts.classes.as_deref())
}

/// How the sentence on the features ends.
const NO_CLASSIFIER: &str = "; it is not a classifier.";

/// Assembles the README around the section on usage.
fn document(facts: &Facts, file: &str, format: &str, usage: &str, rest: &str, names: Option<&[String]>) -> String {
    let backbone = facts.backbone;
    let origin = match (facts.foreign, &facts.recipe) {
        (false, _) => "Trained by qare.",
        (true, Some(_)) => {
            "Weights of another program, fine-tuned by qare. Method and seed of the recipe do not describe their pretraining."
        }
        (true, None) => "Weights of another program. How they were trained is not known.",
    };
    let triple = |values: [f32; 3]| values.map(|value| value.to_string()).join(", ");
    let unknown = || "not known".to_string();
    let (mean, std) = match facts.normalization {
        Some(normalization) => (triple(normalization.mean), triple(normalization.std)),
        None => (unknown(), unknown()),
    };
    let rows = [
        ("architecture", backbone.to_string()),
        ("features", backbone.feature_dim().to_string()),
        ("format", format.to_string()),
        ("input size", facts.size.map_or_else(unknown, |size| format!("{size}×{size} pixels, RGB"))),
        ("mean (red, green, blue)", mean),
        ("standard deviation", std),
        ("trained on", facts.dataset.map_or_else(unknown, |dataset| format!("{dataset}: {}", dataset.about()))),
        ("epoch", facts.epoch.map_or_else(unknown, |epoch| epoch.to_string())),
        ("classes", classes(names)),
        ("exported by", format!("qare {VERSION}, commit {COMMIT}")),
    ];
    let table: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let recipe = match &facts.recipe {
        Some(recipe) => format!("## Recipe\n\nThe settings of the run.\n\n```toml\n{recipe}```\n"),
        None => "## Recipe\n\nNot known.\n".to_string(),
    };
    format!(
        "{MARK}\n# {file}: a {backbone} backbone\n\n{origin} It maps an image to {} features{rest}\n\n\
         | | |\n|---|---|\n{table}\n{usage}\
         ## Preparation of images\n\n{} A value v from 0 to 255 then becomes (v / 255 − mean) / standard deviation, channel by \
         channel. The network takes `[N, 3, H, W]`.\n\n{recipe}",
        backbone.feature_dim(),
        facts.resize()
    )
}

/// Returns the class names as one cell of a Markdown table.
fn classes(names: Option<&[String]>) -> String {
    match names {
        None => "not known".into(),
        Some(names) if names.len() > MAX_CLASSES => format!("{} (their names are in the metadata)", names.len()),
        Some(names) => names.iter().map(|name| cell(name)).collect::<Vec<_>>().join(", "),
    }
}

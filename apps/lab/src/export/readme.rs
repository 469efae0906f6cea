//! The README beside an export: its contents, its use, and what is unknown.

use super::facts::Facts;
use crate::precision::Precision;
use crate::version::{COMMIT, VERSION};

/// The first line of the README. A file that starts with it may be replaced by the next export.
pub const MARK: &str =
    "<!-- written by `qare export`, which replaces this file with the next export of that name -->\n";

/// Maximum number of class names in the README. The metadata has all of them.
const MAX_CLASSES: usize = 100;

/// Returns the README of weights under PyTorch's names.
pub fn of_safetensors(facts: &Facts, file: &str) -> String {
    let call = match (facts.size, facts.normalization) {
        (Some(_), Some(_)) => format!("load({file:?})"),
        (size, normalization) => {
            let size = if size.is_none() { ", size=SIZE" } else { "" };
            let normalization = if normalization.is_none() { ", mean=MEAN, std=STD" } else { "" };
            format!("load({file:?}{size}{normalization})")
        }
    };
    let width = facts.backbone.feature_dim();
    let placeholders = if call.contains(", ") {
        "\nReplace the words in capitals, which this file does not know: SIZE is a number of pixels, MEAN and STD are three numbers \
         each, for red, green and blue from 0 to 1.\n"
    } else {
        ""
    };
    let precision = match facts.precision {
        Precision::F32 => String::new(),
        other => format!("; the run computed in {other}, so compare with `qare embed --precision f32`"),
    };
    let usage = format!(
        "## Use\n\n\
         Copy `models/python/qare_torch.py` of qare beside this file. It needs torch, safetensors, numpy and Pillow, and for \
         resnet18 and resnet34 also torchvision.\n\n\
         ```python\n\
         import torch\n\
         from qare_torch import load\n\
         network, preprocess = {call}\n\
         with torch.inference_mode():\n    \
             features = network(preprocess(\"photo.jpg\")[None])  # [1, {width}]\n\
         ```\n{placeholders}\n\
         The features equal those of `qare embed`{precision}. The tensors have PyTorch's names: any network of the same \
         architecture loads them with `load_state_dict(safetensors.torch.load_file({file:?}))`. The metadata of the file contains \
         everything below.\n\n"
    );
    document(facts, file, "PyTorch's names and layouts, as safetensors, in f32", &usage)
}

/// Returns the README of a record of Burn, which holds weights only.
pub fn of_record(facts: &Facts, file: &str) -> String {
    let variant = format!("{:?}", facts.backbone);
    let usage = format!(
        "## Use\n\n\
         In Rust, with Burn 0.21 and the crate `qare-models` of qare; `B` is a backend:\n\n\
         ```rust\n\
         use burn::module::Module;\n\
         use burn::record::{{FullPrecisionSettings, NamedMpkFileRecorder}};\n\
         use qare_models::BackboneName;\n\
         let recorder = NamedMpkFileRecorder::<FullPrecisionSettings>::new();\n\
         let backbone = BackboneName::{variant}.init::<B>(0, &device).load_file({file:?}, &recorder, &device)?;\n\
         let features = backbone.forward(images); // [N, 3, H, W] -> [N, {}]\n\
         ```\n\n\
         The file contains weights only: keep this README with it.\n\n",
        facts.backbone.feature_dim()
    );
    document(facts, file, "a record of Burn (named MessagePack, full precision)", &usage)
}

/// Assembles the README around the section on usage.
fn document(facts: &Facts, file: &str, format: &str, usage: &str) -> String {
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
        ("classes", classes(facts)),
        ("exported by", format!("qare {VERSION}, commit {COMMIT}")),
    ];
    let table: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let recipe = match &facts.recipe {
        Some(recipe) => format!("## Recipe\n\nThe settings of the run.\n\n```toml\n{recipe}```\n"),
        None => "## Recipe\n\nNot known.\n".to_string(),
    };
    format!(
        "{MARK}\n# {file}: a {backbone} backbone\n\n{origin} It maps an image to {} features; it is not a classifier.\n\n\
         | | |\n|---|---|\n{table}\n{usage}\
         ## Preparation of images\n\n{} A value v from 0 to 255 then becomes (v / 255 − mean) / standard deviation, channel by \
         channel. The network takes `[N, 3, H, W]`.\n\n{recipe}",
        backbone.feature_dim(),
        facts.resize()
    )
}

/// Returns the class names as one cell of a Markdown table.
fn classes(facts: &Facts) -> String {
    match &facts.classes {
        None => "not known".into(),
        Some(names) if names.len() > MAX_CLASSES => format!("{} (their names are in the metadata)", names.len()),
        // Vertical bars and line breaks in a name would break the table.
        Some(names) => {
            names.iter().map(|name| name.replace('|', "\\|").replace(['\n', '\r'], " ")).collect::<Vec<_>>().join(", ")
        }
    }
}

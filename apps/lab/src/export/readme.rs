//! The text beside an export: what the file is, how to use it, and what is not known.

use super::facts::Facts;
use crate::precision::Precision;
use crate::version::{COMMIT, VERSION};

/// How such a text starts, by which it is known as one that the program may replace.
pub const MARK: &str =
    "<!-- written by `qare export`, which replaces this file with the next export of that name -->\n";

/// More names of classes than these are only in the metadata.
const FEW: usize = 100;

/// Of weights under PyTorch's names.
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
    let unsaid = match call.contains(", ") {
        true => {
            "\nWhat stands there in capitals is not known to this file: SIZE is a number of pixels, MEAN and STD three numbers each, \
             for red, green and blue from 0 to 1.\n"
        }
        false => "",
    };
    let precision = match facts.precision {
        Precision::F32 => String::new(),
        other => format!("; this run computed in {other}, so compare with `qare embed --precision f32`"),
    };
    let usage = format!(
        "## Use\n\n\
         With `models/python/qare_torch.py` of qare beside it (it needs torch, safetensors, numpy and Pillow; for resnet18 and \
         resnet34 also torchvision):\n\n\
         ```python\n\
         import torch\n\
         from qare_torch import load\n\
         network, preprocess = {call}\n\
         with torch.inference_mode():\n    \
             features = network(preprocess(\"photo.jpg\")[None])  # [1, {width}]\n\
         ```\n{unsaid}\n\
         The features are those of `qare embed`{precision}. The tensors have PyTorch's names: any network of the same form loads \
         them with `load_state_dict(safetensors.torch.load_file({file:?}))`. Everything below is also in the metadata of the \
         file.\n\n"
    );
    whole(facts, file, "PyTorch's names and layouts, as safetensors, in f32", &usage)
}

/// Of a record of Burn, which has no place for anything but the weights.
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
         The file holds weights alone: keep this text with it.\n\n",
        facts.backbone.feature_dim()
    );
    whole(facts, file, "a record of Burn (named MessagePack, full precision)", &usage)
}

fn whole(facts: &Facts, file: &str, format: &str, usage: &str) -> String {
    let backbone = facts.backbone;
    let origin = match (facts.foreign, &facts.recipe) {
        (false, _) => "Trained by qare.",
        (true, Some(_)) => {
            "Weights of another program, fine-tuned by qare: method and seed of the recipe are not theirs."
        }
        (true, None) => "Weights of another program: how they were trained is not known here.",
    };
    let triple = |values: [f32; 3]| values.map(|value| value.to_string()).join(", ");
    let unknown = || "not known".to_string();
    let (mean, std) = match facts.normalization {
        Some(of) => (triple(of.mean), triple(of.std)),
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
        "{MARK}\n# {file}: a {backbone} backbone\n\n{origin} It turns an image into {} features; it is no classifier.\n\n\
         | | |\n|---|---|\n{table}\n{usage}\
         ## Preparation of images\n\n{} A value v from 0 to 255 then becomes (v / 255 − mean) / standard deviation, channel by \
         channel. The network takes `[N, 3, H, W]`.\n\n{recipe}",
        backbone.feature_dim(),
        facts.resize()
    )
}

/// The names of the classes, one cell of a table.
fn classes(facts: &Facts) -> String {
    match &facts.classes {
        None => "not known".into(),
        Some(names) if names.len() > FEW => format!("{} (their names are in the metadata)", names.len()),
        // A name may hold what ends a cell or a line.
        Some(names) => {
            names.iter().map(|name| name.replace('|', "\\|").replace(['\n', '\r'], " ")).collect::<Vec<_>>().join(", ")
        }
    }
}

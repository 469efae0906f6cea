//! The sections of the README on usage, with programs that run as they are, in the folder of the export.

use qare_models::BackboneName;

use super::super::facts::{Facts, LONGEST};
use super::super::onnx::Model;
use crate::precision::Precision;

/// The networks in PyTorch. The same text is in `models/python/qare_torch.py`.
const CONV4: &str = include_str!("conv4.py");
const CIFAR_RESNET: &str = include_str!("cifar_resnet.py");
const PREPARE: &str = include_str!("prepare.py");

/// The section of weights under PyTorch's names.
pub fn of_safetensors(facts: &Facts, file: &str) -> String {
    let call = match (facts.size, facts.normalization) {
        (Some(_), Some(_)) => format!("load({file:?})"),
        (size, normalization) => {
            let size = if size.is_none() { ", size=SIZE" } else { "" };
            let normalization = if normalization.is_none() { ", mean=MEAN, std=STD" } else { "" };
            format!("load({file:?}{size}{normalization})")
        }
    };
    let (module, packages, network) = match facts.backbone {
        BackboneName::Conv4 => (torch_module(CONV4), "", "Conv4()".to_string()),
        BackboneName::Resnet18 | BackboneName::Resnet34 | BackboneName::Resnet50 => {
            let module = format!(
                "import torch\nimport torchvision\n\n\ndef network():\n    \
                 network = torchvision.models.{}(weights=None)\n    network.fc = torch.nn.Identity()\n    return network\n",
                facts.backbone
            );
            (module, ", torchvision", "network()".to_string())
        }
        BackboneName::Resnet8
        | BackboneName::Resnet20
        | BackboneName::Resnet32
        | BackboneName::Resnet44
        | BackboneName::Resnet56
        | BackboneName::Resnet110 => {
            (torch_module(CIFAR_RESNET), "", format!("CifarResNet(blocks={})", blocks(facts.backbone)))
        }
    };
    format!(
        "## Use\n\n\
         With torch{packages}, safetensors, numpy and Pillow. The network:\n\n\
         ```python\n{module}```\n\n\
         {prepare}\
         Five lines that embed an image:\n\n\
         ```python\n\
         from safetensors.torch import load_file\n\
         backbone = {network}.eval()\n\
         backbone.load_state_dict(load_file({file:?}))\n\
         with torch.inference_mode():\n    \
             features = backbone(torch.from_numpy(prepare(\"photo.jpg\"))[None])  # [1, {width}]\n\
         ```\n\n\
         The features equal those of `qare embed{features}`{precision}. `models/python/qare_torch.py` of qare does the same with files of all kinds: \
         `network, preprocess = {call}`. The metadata of the file contains everything below.\n\n",
        prepare = prepare(facts),
        features = features_flag(facts),
        width = facts.backbone.feature_dim(),
        precision = precision(facts),
    )
}

/// The section of an ONNX model.
pub fn of_onnx(facts: &Facts, file: &str, model: &Model) -> String {
    let names: Vec<&str> = model.outputs.iter().map(|output| output.name).collect();
    let shapes: Vec<String> = model.outputs.iter().map(|output| format!("[N, {}]", output.width)).collect();
    let (names, shapes) = (names.join(", "), shapes.join(", "));
    // A single name on the left of = would be the list.
    let comma = if model.outputs.len() == 1 { "," } else { "" };
    let run = |input: &str, value: &str| {
        format!(
            "session = onnxruntime.InferenceSession({file:?})\n\
             {names}{comma} = session.run(None, {{\"{input}\": {value}}})  # {shapes}\n"
        )
    };
    let program = match model.preprocesses {
        true => format!(
            "Five lines that embed an image, with onnxruntime, numpy and Pillow:\n\n\
             ```python\n\
             import numpy, onnxruntime\n\
             from PIL import Image, ImageOps\n\
             image = ImageOps.exif_transpose(Image.open(\"photo.jpg\")).convert(\"RGB\")\n{}```\n\n\
             The input `image` is u8 `[N, H, W, 3]`: images of one size, upright, in RGB. The model resizes and normalises them.\n\n",
            run("image", "numpy.asarray(image)[None]")
        ),
        false => format!(
            "{}Five lines that embed an image, with onnxruntime:\n\n\
             ```python\n\
             import onnxruntime\n\
             images = prepare(\"photo.jpg\")[None]  # [N, 3, H, W]\n{}```\n\n\
             The input `images` is f32 `[N, 3, H, W]`, normalised.\n\n",
            prepare(facts),
            run("images", "images")
        ),
    };
    let outputs: String = model.outputs.iter().map(|output| format!("- {}\n", meaning(facts, output.name))).collect();
    format!(
        "## Use\n\n{program}{outputs}\nThe metadata of the model contains the table, the preparation of images and the recipe.\n\n"
    )
}

/// What an output of an ONNX model is.
fn meaning(facts: &Facts, output: &str) -> String {
    match output {
        "embedding" => format!(
            "`embedding`: what metric learning compares, by cosines: divide it by its length. It equals that of `qare embed`{}.",
            precision(facts)
        ),
        "logits" => {
            "`logits`: a score per class, in the order of the classes in the table. `qare test` takes the largest."
                .to_string()
        }
        _ => format!("`features`: those of `qare embed{}`{}.", features_flag(facts), precision(facts)),
    }
}

/// The section of a record of Burn, which holds weights only.
pub fn of_record(facts: &Facts, file: &str) -> String {
    let variant = format!("{:?}", facts.backbone);
    format!(
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
    )
}

/// A function that prepares an image file, with a title.
fn prepare(facts: &Facts) -> String {
    let unknown = facts.size.is_none() || facts.normalization.is_none();
    let replace = match unknown {
        true => {
            " Replace `None`, which this file does not know: SIZE is a number of pixels, MEAN and STD are three numbers each, for red, green \
             and blue from 0 to 1."
        }
        false => "",
    };
    let triple = |values: Option<[f32; 3]>| values.map_or("None".to_string(), |values| format!("{values:?}"));
    let program = PREPARE
        .replace("{SIZE}", &facts.size.map_or("None".to_string(), |size| size.to_string()))
        .replace("{MEAN}", &triple(facts.normalization.map(|normalization| normalization.mean)))
        .replace("{STD}", &triple(facts.normalization.map(|normalization| normalization.std)))
        .replace("{LONGEST}", &LONGEST.to_string());
    format!("The preparation of an 8-bit image, with numpy and Pillow.{replace}\n\n```python\n{program}```\n\n")
}

fn torch_module(classes: &str) -> String {
    format!("import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n{classes}")
}

/// The number of blocks per stage of a CIFAR ResNet.
fn blocks(resnet: BackboneName) -> usize {
    let depth: usize = resnet.as_str().trim_start_matches("resnet").parse().expect("a name ends in the depth");
    (depth - 2) / 6
}

/// The flag with which `qare embed` writes features.
fn features_flag(facts: &Facts) -> &'static str {
    if facts.has_embedding { " --features" } else { "" }
}

/// How `qare embed` computes in the precision of the export.
fn precision(facts: &Facts) -> String {
    match facts.precision {
        Precision::F32 => String::new(),
        other => format!("; the run computed in {other}, so compare with `qare embed --precision f32`"),
    }
}

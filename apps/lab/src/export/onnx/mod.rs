//! A checkpoint as an ONNX model: preprocessing, backbone, embedding head and classifier in one graph.

mod preprocessing;
mod resize;

use burn::tensor::backend::Backend;
use qare_onnx::{Dim, Element, Graph, Value};
use serde_json::json;

use super::facts::Facts;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint::{Checkpoint, ORIGIN};
use crate::version::VERSION;

/// The number of images.
const IMAGES: Dim = Dim::Named("N");

/// An output of the model, `[N, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// "features", "embedding" or "logits".
    pub name: &'static str,
    /// The number of columns.
    pub width: usize,
}

/// A model as the bytes of a file, and what it computes.
pub struct Model {
    pub bytes: Vec<u8>,
    /// Whether the input is 8-bit images `image`, and not normalised images `images`.
    pub preprocesses: bool,
    pub outputs: Vec<Output>,
}

/// Writes a checkpoint as a model. Input is `images` f32 `[N, 3, H, W]`, normalised; with `preprocesses` it is `image` u8 `[N, H, W, 3]`. Outputs are
/// `features` `[N, F]`; `embedding` `[N, D]` if a head was trained on the features; and `logits` `[N, classes]` if the checkpoint has a classifier.
///
/// # Errors
/// If the checkpoint is damaged, or does not say how its images are prepared although the model is to prepare them.
pub fn model<B: Backend>(
    checkpoint: &Checkpoint,
    facts: &Facts,
    preprocesses: bool,
    device: &B::Device,
) -> Result<Model> {
    let mut graph = Graph::new("qare");
    let images = match preprocesses {
        true => {
            let (Some(size), Some(normalization)) = (facts.size, facts.normalization) else {
                return Err(LabError::Usage(format!(
                    "--preprocessing: {} does not say how its images were prepared: add --trained-on and --image-size",
                    checkpoint.file.printable()
                )));
            };
            let image = graph.input("image", Element::U8, &[IMAGES, Dim::Named("H"), Dim::Named("W"), 3.into()]);
            preprocessing::add(&mut graph, &image, size, normalization)
        }
        false => graph.input("images", Element::F32, &[IMAGES, 3.into(), Dim::Named("H"), Dim::Named("W")]),
    };
    let features = checkpoint.backbone::<B>(device)?.add_to_onnx(&mut graph, "backbone", &images);
    let mut outputs = Outputs { graph, found: Vec::new() };
    outputs.add("features", &features, facts.backbone.feature_dim());
    if let Some(head) = checkpoint.embedding_head::<B>(device)? {
        let width = head.bias.dims()[0];
        let embedding = head.add_to_onnx(&mut outputs.graph, "embedding_head", &features);
        outputs.add("embedding", &embedding, width);
    }
    let mut metadata = facts.metadata(checkpoint);
    // What identifies safetensors files means nothing here.
    metadata.retain(|key, _| ![ORIGIN, "format"].contains(key));
    if let Some(classes) = checkpoint.classifier_classes() {
        let classifier = checkpoint.classifier::<B>(classes.len(), device)?;
        let logits = classifier.add_to_onnx(&mut outputs.graph, "classifier", &features);
        outputs.add("logits", &logits, classes.len());
        metadata.insert("classes", json!(classes).to_string());
    }
    if !checkpoint.foreign {
        metadata.insert("method", checkpoint.recipe.method.to_string());
    }
    let texts = metadata.iter().map(|(key, text)| (*key, text.as_str()));
    let bytes = outputs.graph.into_model("qare", VERSION, texts);
    Ok(Model { bytes, preprocesses, outputs: outputs.found })
}

/// A graph whose outputs are being named.
struct Outputs {
    graph: Graph,
    found: Vec<Output>,
}

impl Outputs {
    fn add(&mut self, name: &'static str, value: &Value, width: usize) {
        self.graph.output(name, value, Element::F32, &[IMAGES, width.into()]);
        self.found.push(Output { name, width });
    }
}

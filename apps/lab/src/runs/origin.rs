//! Weights files and the origin that their metadata tells.

use std::collections::HashMap;
use std::path::Path;

use qare_models::{NamedTensor, StateDict, safetensors_bytes};
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::files::write_whole;

/// The origin of weights, a JSON value in the metadata of a safetensors file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    pub recipe: String,
    pub epoch: usize,
    /// Whether the backbone is of another program, so that seed and method of the recipe do not apply.
    #[serde(default)]
    pub foreign: bool,
    /// Class names of the classifier, or, without a classifier, of the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// The metadata key of the origin of weights.
pub const ORIGIN: &str = "qare";

pub(super) fn write_with_origin(path: &Path, tensors: &[NamedTensor], origin: Origin) -> Result<()> {
    let epoch = origin.epoch;
    if let Some(bad) = tensors.iter().find(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
        return Err(LabError::Failed(format!(
            "the weights of epoch {epoch} are not saved: `{}` contains NaN or infinity, training has diverged",
            bad.name
        )));
    }
    let origin = serde_json::to_string(&origin).expect("plain data");
    write_whole(path, &safetensors_bytes(tensors, Some(HashMap::from([(ORIGIN.to_string(), origin)]))))
}

/// Reads the origin of weights and its recipe, if the file has one.
pub(super) fn origin(file: &Path, weights: &StateDict) -> Result<Option<(Origin, Recipe)>> {
    let damaged = |error: String| LabError::Failed(format!("{} is damaged: {error}", file.printable()));
    let Some(origin) = weights.metadata().get(ORIGIN) else { return Ok(None) };
    let origin: Origin = serde_json::from_str(origin).map_err(|error| damaged(error.to_string()))?;
    let recipe = Recipe::parse(&origin.recipe).map_err(damaged)?;
    recipe.validate().map_err(|error| damaged(format!("in its recipe, {error}")))?;
    Ok(Some((origin, recipe)))
}

/// Opens a weights file.
pub(super) fn read_file(file: &Path) -> Result<StateDict> {
    if !file.is_file() {
        return Err(LabError::Usage(format!(
            "no checkpoint at {}: expected a run folder, or a weights file (.safetensors, or .pt, .pth, .ckpt or .tar of PyTorch)",
            file.printable()
        )));
    }
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mpk")) {
        return Err(LabError::Usage(format!(
            "{} is a record for programs in Burn, which is not read back: give the run folder, or a file of `qare export --checkpoint RUN \
             --output FILE.safetensors`",
            file.printable()
        )));
    }
    Ok(StateDict::read(file)?)
}

//! The weights that a run starts from.

use std::path::Path;

use burn::tensor::backend::Backend;
use log::info;
use qare_models::{StateDict, WeightsError};

use super::checkpoint::latest;
use super::origin::{origin, read_file};
use crate::error::{LabError, Result};
use crate::methods::{MethodName, Pretext};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::training::model::PretextModel;

/// Weights that a run starts from.
pub struct StartingWeights {
    weights: StateDict,
    /// The method that trained them, if known.
    method: Option<MethodName>,
    /// The class names that they were trained with, if known.
    classes: Option<Vec<String>>,
}

impl StartingWeights {
    /// Loads the backbone into a model, and the networks of the method if the file has them. For a method that learns `classes`, the
    /// networks are loaded only if they learned the same classes. Logs which weights are loaded.
    ///
    /// # Errors
    /// If the backbone does not fit, or the weights are damaged or not finite.
    pub fn load_into<B: Backend, P: Pretext<B>>(
        &self,
        model: PretextModel<B, P>,
        recipe: &Recipe,
        classes: Option<&[String]>,
    ) -> Result<PretextModel<B, P>> {
        let path = self.weights.path().printable();
        let found = self.weights.find_backbone(Some(recipe.backbone)).map_err(|error| match error {
            // The file is readable but does not fit, so the call is wrong.
            WeightsError::NoBackbone { .. } => LabError::Usage(format!("--checkpoint: {error}")),
            error => error.into(),
        })?;
        let model = model.with_backbone(&found)?;
        // Networks of another method may have the same names, so the method is compared, if it is known.
        let complete = match &self.method {
            Some(method) if *method != recipe.method => None,
            // The classifier of other classes is not used.
            _ if classes.is_some() && self.classes.is_some() && self.classes.as_deref() != classes => None,
            _ => match model.clone().with_networks(&self.weights) {
                Err(error @ (WeightsError::NotFinite { .. } | WeightsError::Damaged { .. })) => {
                    return Err(error.into());
                }
                complete => complete.ok(),
            },
        };
        match complete {
            Some(_) => info!("starting from the backbone and {} of {path}: {found}", recipe.method),
            None => info!("starting from the backbone of {path}: {found}"),
        }
        Ok(complete.unwrap_or(model))
    }
}

/// Reads the weights that a run starts from: the latest of a run folder, or those in a file of this program or of PyTorch.
///
/// # Errors
/// If the folder has no finished epoch, or the file is missing or damaged.
pub fn starting_weights(path: &Path) -> Result<StartingWeights> {
    let file = if path.is_dir() { path.join(latest(path)?.weights) } else { path.to_path_buf() };
    let weights = read_file(&file)?;
    let origin = origin(&file, &weights)?.filter(|(origin, _)| !origin.foreign);
    let (method, classes) = origin.map_or((None, None), |(origin, recipe)| (Some(recipe.method), origin.classes));
    Ok(StartingWeights { weights, method, classes })
}

//! Retrieval: images of a set are searched for others of their class, by the cosine of frozen embeddings or features and the protocol of the
//! dataset.

mod neighbours;
mod picture;
mod protocol;
mod search;

use burn::tensor::backend::Backend;
use qare_data::ImageSet;
use qare_retrieval::{Summary, normalized_mutual_information};
use serde_json::{Map, Value, json};

pub use neighbours::{Found, Neighbours};
pub use protocol::Protocol;
pub(crate) use protocol::missing_across_cameras;
pub use search::Search;

use super::embedder::Space;
use super::features::Features;
use super::kmeans::{self, kmeans};
use crate::error::{LabError, Result};
use crate::images::is_other_folder;
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::{files, records};

/// Iterations of k-means for the mutual information, as pytorch-metric-learning has.
const ITERATIONS: usize = 20;

/// Figures of retrieval in a set of images. Fractions, not percent.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Recall@k, which is CMC@k of re-identification, R-precision, MAP@R and mAP.
    pub summary: Summary,
    /// Normalised mutual information of classes and clusters; `None` for re-identification.
    pub nmi: Option<f64>,
    /// Number of classes among the images.
    pub classes: usize,
}

/// Computes the figures of ranked features. k-means on features of unit length finds as many clusters as there are classes; its initial centres are
/// drawn by k-means++ with the seed, and distances are computed on the device.
///
/// # Errors
/// If no query has an image of its class to be found.
pub fn figures<B: Backend>(features: &Features, search: &Search, seed: u64, device: &B::Device) -> Result<Figures> {
    let summary = search.summary()?;
    let mut present: Vec<u32> = features.labels.iter().map(|label| u32::from(*label)).collect();
    let labels = present.clone();
    present.sort_unstable();
    present.dedup();
    let classes = present.len();
    if search.protocol == Protocol::QueriesAndGallery {
        return Ok(Figures { summary, nmi: None, classes });
    }
    let values = search.queries.rows.unit_rows().to_vec();
    let unit = Features { values, dim: features.dim, labels: features.labels.clone() };
    let settings =
        kmeans::Settings { clusters: classes, starts: 1, iterations: ITERATIONS, ..kmeans::Settings::of(seed, 0) };
    let clusters = kmeans::<B>(&unit, &settings, device);
    Ok(Figures { summary, nmi: Some(normalized_mutual_information(&labels, &clusters)?), classes })
}

/// Figures of a checkpoint, not yet recorded.
pub struct Retrieved<'a> {
    /// The figures.
    pub figures: Figures,
    /// Number of dimensions of what was compared.
    pub dim: usize,
    /// What was compared: "embedding" or "features".
    pub what: &'static str,
    /// See [`settings`].
    settings: Value,
    /// Whether features were compared although there is an embedding.
    other_space: bool,
    /// The ranked queries.
    pub search: Search,
    /// The error that prevents recording, if any.
    unwritable: Option<std::io::Error>,
    checkpoint: &'a Checkpoint,
}

/// Computes the figures of a checkpoint's embeddings of images, or of its features, which [`retrievable`](crate::images::retrievable) accepts.
/// The recipe says how to normalise images, and has the seed of k-means.
///
/// # Errors
/// If the images cannot be loaded in batches, or a feature is not finite.
pub fn retrieve<'a, B: Backend>(
    checkpoint: &'a Checkpoint,
    images: &ImageSet,
    recipe: &Recipe,
    space: Space,
    device: &B::Device,
) -> Result<Retrieved<'a>> {
    let embedder = checkpoint.embedder::<B>(space, device)?;
    let unwritable = files::check_writable(&checkpoint.results_file()).err();
    let Recipe { precision, num_workers, .. } = *recipe;
    let features = embedder.extract(images, recipe.probe_normalization(), precision, num_workers, device)?;
    let of_checkpoint = |error| match error {
        LabError::Failed(reason) => LabError::Failed(format!("{}: {reason}", checkpoint.file.printable())),
        error => error,
    };
    let search = Search::of(&features, images).map_err(of_checkpoint)?;
    let figures = figures::<B>(&features, &search, recipe.probe_seed(), device).map_err(of_checkpoint)?;
    let other_space = space == Space::Features && checkpoint.has_embedding();
    let (what, settings) = (embedder.what(), settings(recipe));
    Ok(Retrieved { figures, dim: features.dim, what, settings, other_space, search, unwritable, checkpoint })
}

/// Returns the settings that figures of a checkpoint's retrieval depend on, besides the folder of images and its classes.
pub fn settings(recipe: &Recipe) -> Value {
    json!({ "test_images": recipe.test_images, "precision": recipe.precision })
}

impl Retrieved<'_> {
    /// Returns the figures as JSON, in percent, with Recall@k or CMC@k at each of `ks`.
    pub fn json(&self, ks: &[usize]) -> Value {
        let Figures { summary, nmi, classes } = &self.figures;
        let at: Map<String, Value> = ks.iter().map(|k| (k.to_string(), json!(100.0 * summary.recall_at(*k)))).collect();
        let mut found = json!({
            "protocol": self.search.protocol.as_str(),
            "r_precision": 100.0 * summary.r_precision,
            "map_at_r": 100.0 * summary.map_at_r,
            "map": 100.0 * summary.map,
            "queries": summary.queries,
            "left_out": summary.left_out,
            "searched": self.search.searched(),
            "classes": classes,
            "of": self.what,
            "dim": self.dim,
            "epoch": self.checkpoint.epoch,
            "settings": self.settings,
        });
        match nmi {
            None => found["cmc"] = at.into(),
            Some(nmi) => {
                found["recall"] = at.into();
                found["nmi"] = json!(100.0 * nmi);
            }
        }
        found
    }

    /// Draws random queries and the worst ones with their nearest images, `count` of each kind, as PNG. Returns the queries, too.
    ///
    /// # Errors
    /// None that a search without errors leaves.
    pub fn picture(&self, images: &ImageSet, count: usize, seed: u64) -> Result<(Vec<u8>, Neighbours)> {
        let neighbours = Neighbours::of(&self.search, count, seed)?;
        Ok((picture::png(&neighbours, images), neighbours))
    }

    /// Records the figures under the name of the stage `retrieve`, or `retrieve_features` for features of a run with an embedding. Those of another
    /// folder of images than the run's, or of other test classes, are not recorded, so that the run's own stay. That, or a folder that is not
    /// writable, is not an error: the reason is returned as a note.
    ///
    /// # Errors
    /// If the results file is damaged.
    pub fn record(&self, recipe: &Recipe, ks: &[usize]) -> Result<Option<String>> {
        let stage = recipe.stage(if self.other_space { "retrieve_features" } else { "retrieve" });
        let results = self.checkpoint.results_file();
        let trained = &self.checkpoint.recipe;
        let other = if is_other_folder(trained, recipe) {
            Some("images")
        } else {
            let own = recipe.probed() == trained.dataset && trained.data_dir.is_some();
            (own && recipe.test_classes != trained.test_classes).then_some("test classes")
        };
        if let Some(other) = other {
            return Ok(Some(format!("the figures are of other {other} than the run's, and are not recorded")));
        }
        if let Some(error) = &self.unwritable {
            return Ok(Some(format!("the figures are not recorded in {}: {error}", results.printable())));
        }
        records::record(&results, [(self.checkpoint.stage(&stage)?, self.json(ks))])?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

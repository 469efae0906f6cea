//! Retrieval: each image of a set searches the others for images of its class, by the cosine of frozen embeddings or features.

use burn::tensor::backend::Backend;
use qare_data::ImageSet;
use qare_retrieval::{LabelledRows, Summary, normalized_mutual_information, rank_among_others};
use serde_json::{Map, Value, json};

use super::embedder::Space;
use super::features::Features;
use super::kmeans::{self, kmeans};
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::{files, records};

/// Iterations of k-means for the mutual information, as pytorch-metric-learning has.
const ITERATIONS: usize = 20;

/// Figures of retrieval in a set of images. Fractions, not percent.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Recall@k, R-precision, MAP@R and mAP.
    pub summary: Summary,
    /// Normalised mutual information of classes and clusters.
    pub nmi: f64,
    /// Number of classes among the images.
    pub classes: usize,
}

/// Computes the figures of features. k-means on features of unit length finds as many clusters as there are classes; its initial centres are
/// drawn by k-means++ with the seed, and distances are computed on the device.
///
/// # Errors
/// If a feature is not finite, or no class has two images.
pub fn figures<B: Backend>(features: &Features, seed: u64, device: &B::Device) -> Result<Figures> {
    let labels: Vec<u32> = features.labels.iter().map(|label| u32::from(*label)).collect();
    let rows = LabelledRows::new(&features.values, features.dim, &labels)?;
    let summary = Summary::of(&rank_among_others(&rows))?;
    let mut present = labels.clone();
    present.sort_unstable();
    present.dedup();
    let unit = Features { values: rows.unit_rows().to_vec(), ..features.clone() };
    let settings = kmeans::Settings {
        clusters: present.len(),
        starts: 1,
        iterations: ITERATIONS,
        ..kmeans::Settings::of(seed, 0)
    };
    let clusters = kmeans::<B>(&unit, &settings, device);
    Ok(Figures { summary, nmi: normalized_mutual_information(&labels, &clusters)?, classes: present.len() })
}

/// Figures of a checkpoint, not yet recorded.
pub struct Retrieved<'a> {
    /// The figures.
    pub figures: Figures,
    /// Number of dimensions of what was compared.
    pub dim: usize,
    /// What was compared: "embedding" or "features".
    pub what: &'static str,
    /// Whether features were compared although there is an embedding.
    other_space: bool,
    /// The error that prevents recording, if any.
    unwritable: Option<std::io::Error>,
    checkpoint: &'a Checkpoint,
}

/// Computes the figures of a checkpoint's embeddings of images, or of its features, which [`retrievable`](crate::images::retrievable) accepts. The recipe says how to
/// normalise images, and has the seed of k-means.
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
    let figures = figures::<B>(&features, recipe.probe_seed(), device).map_err(|error| match error {
        LabError::Failed(reason) => LabError::Failed(format!("{}: {reason}", checkpoint.file.printable())),
        error => error,
    })?;
    let other_space = space == Space::Features && checkpoint.has_embedding();
    Ok(Retrieved { figures, dim: features.dim, what: embedder.what(), other_space, unwritable, checkpoint })
}

impl Retrieved<'_> {
    /// Returns the figures as JSON, in percent, with Recall@k at each of `ks`.
    pub fn json(&self, ks: &[usize]) -> Value {
        let Figures { summary, nmi, classes } = &self.figures;
        let recall: Map<String, Value> =
            ks.iter().map(|k| (k.to_string(), json!(100.0 * summary.recall_at(*k)))).collect();
        json!({
            "recall": recall,
            "r_precision": 100.0 * summary.r_precision,
            "map_at_r": 100.0 * summary.map_at_r,
            "map": 100.0 * summary.map,
            "nmi": 100.0 * nmi,
            "queries": summary.queries,
            "left_out": summary.left_out,
            "classes": classes,
            "of": self.what,
            "dim": self.dim,
            "epoch": self.checkpoint.epoch,
        })
    }

    /// Records the figures under the name of the stage `retrieve`, or `retrieve_features` for features of a run with an embedding. A folder that is not writable is not an error: the reason is returned as a note.
    ///
    /// # Errors
    /// If the results file is damaged.
    pub fn record(&self, recipe: &Recipe, ks: &[usize]) -> Result<Option<String>> {
        let stage = recipe.stage(if self.other_space { "retrieve_features" } else { "retrieve" });
        let results = self.checkpoint.results_file();
        if let Some(error) = &self.unwritable {
            return Ok(Some(format!("the figures are not recorded in {}: {error}", results.printable())));
        }
        records::record(&results, [(self.checkpoint.stage(&stage)?, self.json(ks))])?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    #[test]
    fn separate_classes_are_found_and_clustered() {
        // Three directions, each with images of a few lengths, and a class of a single image between two of them.
        let centres = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let mut features = Features { values: Vec::new(), dim: 3, labels: Vec::new() };
        for (class, centre) in centres.iter().enumerate() {
            for length in [0.1f32, 1.0, 2.0, 30.0] {
                features.values.extend(centre.map(|value| length * (value + 0.01 * length.cos())));
                features.labels.push(class as u16 * 3);
            }
        }
        let found = figures::<Plain>(&features, 1, &any_device()).unwrap();
        assert_eq!((found.classes, found.summary.queries, found.summary.left_out), (3, 12, 0));
        assert_eq!((found.summary.recall_at(1), found.summary.map_at_r, found.nmi), (1.0, 1.0, 1.0));
        features.values.extend([1.0, 1.0, 0.0]);
        features.labels.push(1);
        let found = figures::<Plain>(&features, 1, &any_device()).unwrap();
        assert_eq!((found.classes, found.summary.queries, found.summary.left_out), (4, 12, 1));
        assert_eq!(found.summary.recall_at(1), 1.0);
        let again = figures::<Plain>(&features, 1, &any_device()).unwrap();
        assert_eq!(found.nmi.to_bits(), again.nmi.to_bits());
    }

    #[test]
    fn features_that_are_not_finite_are_an_error() {
        let features = Features { values: vec![1.0, f32::NAN], dim: 1, labels: vec![0, 0] };
        let error = figures::<Plain>(&features, 1, &any_device()).unwrap_err();
        assert!(error.to_string().contains("embedding 1 is not finite") && error.exit_code() == 1, "{error}");
    }
}

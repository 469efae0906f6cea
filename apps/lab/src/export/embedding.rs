//! Writing the features of images to files.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::backend::Backend;
use qare_data::{ImageSet, Normalization};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::npy::npy;
use crate::error::Result;
use crate::evaluation::embedder::Space;
use crate::precision::Precision;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files::{write_together, write_whole};

/// Returns the file name of each image, or `None` if the images do not come from files.
fn file_names<'a>(parts: &[&'a ImageSet]) -> Option<Vec<&'a str>> {
    parts.iter().flat_map(|images| (0..images.len()).map(|index| images.file_name(index))).collect()
}

/// The label of an image without a known class.
pub const UNKNOWN: i64 = -1;

/// Frozen embeddings or features of images, with labels, class names and file names.
pub struct Embedded<'a> {
    /// The embeddings or features `[N, F]`, row by row.
    values: Vec<f32>,
    dim: usize,
    /// "embedding" or "features".
    what: &'static str,
    labels: Vec<i64>,
    class_names: Vec<&'a str>,
    file_names: Option<Vec<&'a str>>,
}

/// Computes the frozen embeddings or features of several sets of images and concatenates them.
///
/// # Errors
/// If images cannot be loaded in batches.
pub fn embed<'a, B: Backend>(
    checkpoint: &Checkpoint,
    parts: &[&'a ImageSet],
    normalization: Normalization,
    (space, precision): (Space, Precision),
    workers: usize,
    device: &B::Device,
) -> Result<Embedded<'a>> {
    let embedder = checkpoint.embedder::<B>(space, device)?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    // Splits of disjoint classes number them anew; here, each class has one number.
    let mut class_names: Vec<&str> = Vec::new();
    let mut numbers: HashMap<&str, i64> = HashMap::new();
    for images in parts {
        let labelled = images.class_names().iter().filter(|_| images.is_labeled());
        for name in labelled.map(String::as_str) {
            numbers.entry(name).or_insert_with(|| {
                class_names.push(name);
                class_names.len() as i64 - 1
            });
        }
        let more = embedder.extract(images, normalization, precision, workers, device)?;
        values.extend(more.values);
        let name = |label: &u16| images.class_names()[usize::from(*label)].as_str();
        let label = |label: &u16| if images.is_labeled() { numbers[name(label)] } else { UNKNOWN };
        labels.extend(more.labels.iter().map(label));
    }
    Ok(Embedded {
        values,
        dim: embedder.dim(),
        what: embedder.what(),
        labels,
        class_names,
        file_names: file_names(parts),
    })
}

impl Embedded<'_> {
    /// Returns the number of images, N.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the number of features of an image, F.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns "embedding" or "features".
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Returns the number of images without a label.
    pub fn unlabelled(&self) -> usize {
        self.labels.iter().filter(|label| **label == UNKNOWN).count()
    }

    /// Returns the labels, or `None` if no image has one.
    fn known_labels(&self) -> Option<&[i64]> {
        (self.unlabelled() < self.rows()).then_some(&self.labels[..])
    }

    /// Writes everything to one file: `features` f32 `[N, F]` and, if there are labels, `labels` i64 `[N]`. Class names and file
    /// names are JSON in the metadata.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.safetensors())
    }

    /// Returns the bytes of the file of [`write_safetensors`](Self::write_safetensors).
    fn safetensors(&self) -> Vec<u8> {
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let labels: Option<Vec<u8>> =
            self.known_labels().map(|labels| labels.iter().flat_map(|label| label.to_le_bytes()).collect());
        let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).expect("the shape fits");
        let mut tensors = vec![("features", view(Dtype::F32, vec![self.rows(), self.dim], &values[..]))];
        let mut metadata = HashMap::from([("of".to_string(), self.what.to_string())]);
        if let Some(labels) = &labels {
            tensors.push(("labels", view(Dtype::I64, vec![self.rows()], labels)));
            metadata.insert("class_names".to_string(), json!(self.class_names).to_string());
        }
        if let Some(names) = &self.file_names {
            metadata.insert("file_names".to_string(), json!(names).to_string());
        }
        safetensors::serialize(tensors, Some(metadata)).expect("names and shapes make valid JSON")
    }

    /// Writes the features to NAME.npy. If there are labels, writes them to NAME.labels.npy and the class names, one a line, to
    /// NAME.classes.txt. If the images come from files, writes the file names, one a line, to NAME.files.txt. If NAME.npy is there already, parts of
    /// it that these images do not have are deleted.
    ///
    /// # Errors
    /// If a file cannot be written. All files are unchanged then.
    pub fn write_npy(&self, path: &Path) -> Result<()> {
        let rows = self.rows() as u64;
        // A line break in a name would split it into two lines.
        let line = |name: &str| name.replace(['\n', '\r'], "\u{fffd}");
        let lines = |names: Vec<&str>| (names.into_iter().map(line).collect::<Vec<_>>().join("\n") + "\n").into_bytes();
        let labels = self.known_labels().map(|labels| npy(&[rows], labels.iter().copied()));
        let classes = labels.as_ref().map(|_| lines(self.class_names.clone()));
        let parts =
            [("labels.npy", labels), ("classes.txt", classes), ("files.txt", self.file_names.clone().map(lines))];
        let mut files = vec![(path.to_path_buf(), npy(&[rows, self.dim as u64], self.values.iter().copied()))];
        let mut absent = Vec::new();
        for (extension, contents) in parts {
            let file = path.with_extension(extension);
            match contents {
                Some(contents) => files.push((file, contents)),
                None => absent.push(file),
            }
        }
        write_together(&files, &absent)
    }
}

//! What a report is made of.

use std::sync::Arc;

use crate::analysis::{Confusion, SetBound, Spectrum};
use crate::picture::Pictures;

/// A report on one run or several.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The title of the page.
    pub title: String,
    /// The program and its version.
    pub program: String,
    /// When the report is made.
    pub created: String,
    /// The runs.
    pub runs: Vec<Run>,
    /// What some of the runs have learned.
    pub details: Vec<Detail>,
    /// What a reader should know, such as what is left out.
    pub notes: Vec<String>,
}

/// A run: its settings, its log, its scores.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// A name, such as that of its folder.
    pub name: String,
    /// Its seed.
    pub seed: String,
    /// Names and values of the settings, without the seed: runs with equal settings are runs of other seeds.
    pub settings: Vec<(String, String)>,
    /// Names of the log's columns; the first one is on the horizontal axis.
    pub columns: Vec<String>,
    /// One row for each epoch, with a value for each column.
    pub rows: Vec<Vec<Option<f64>>>,
    /// Names and values of the scores, such as accuracies in percent.
    pub scores: Vec<(String, Option<f64>)>,
    /// Other facts, such as state and command.
    pub facts: Vec<(String, String)>,
}

/// What a run has learned.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// The index of the run.
    pub run: usize,
    /// Which images it is shown on, in words.
    pub images: String,
    /// Names of the classes; none for images without labels.
    pub classes: Vec<String>,
    /// A map of the images.
    pub map: Option<MapOfImages>,
    /// Images and their neighbours.
    pub queries: Vec<Query>,
    /// The mean share of an image's nearest neighbours that have its class, in percent, and the number of neighbours.
    pub purity: Option<(f64, usize)>,
    /// The confusion matrix, and what predicts the classes.
    pub confusion: Option<(Confusion, String)>,
    /// Names of representations and their spectra.
    pub spectra: Vec<(String, Spectrum)>,
    /// The set term of two view sets.
    pub bound: Option<SetBound>,
}

/// Places of images on a plane.
#[derive(Clone, Debug)]
pub struct MapOfImages {
    /// What the places are, in words.
    pub method: String,
    /// The places.
    pub points: Vec<[f64; 2]>,
    /// The class of each point; 0 for images without labels.
    pub labels: Vec<u16>,
    /// The image of each point.
    pub thumbnails: Option<Arc<Pictures>>,
    /// A short text on each point; may be empty.
    pub texts: Vec<String>,
}

/// An image and its nearest neighbours.
#[derive(Clone, Debug)]
pub struct Query {
    /// The heading that it stands under. Queries of one heading are adjacent.
    pub group: String,
    /// The image, then its neighbours, the nearest first.
    pub images: Pictures,
    /// A caption of each image.
    pub captions: Vec<String>,
    /// Whether each neighbour has the class of the image; empty for images without labels.
    pub same: Vec<bool>,
}

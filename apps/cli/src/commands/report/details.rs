//! What a run has learned: its images are read, and its weights are applied to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qare::SimilarityFloor;
use qare_data::{DatasetName, Draw, ImageSet, Purpose};
use qare_lab::evaluation::features::Features;
use qare_lab::evaluation::representation::{Representation, represent};
use qare_lab::images::{Images, Source};
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::{LabError, Result};
use qare_report::analysis::{
    Confusion, MapMethod, Neighbour, Rows, SetBound, Spectrum, map, nearest, perplexity, purity,
};
use qare_report::{Detail, MapOfImages, Pictures, Query, ReportError};

use super::failed;
use crate::backend::{NAME, Plain, device_for};
use crate::cli::{MachineFlags, MapKind, ReportArgs};
use crate::commands::images_of_run;
use crate::progress::show;

/// Neighbours of a query, random queries, and worst queries.
const NEIGHBOURS: usize = 8;
const QUERIES: usize = 6;
/// Most images that neighbours are looked for among.
const MOST: usize = 10_000;

/// The images that were read last: runs of a sweep have the same.
#[derive(Default)]
pub struct Splits(Option<(Key, qare_data::Splits)>);

type Key = (DatasetName, Option<PathBuf>, Option<usize>, String);

/// Reads what the report shows about a run.
pub fn detail(index: usize, folder: &Path, args: &ReportArgs, splits: &mut Splits) -> Result<Detail> {
    let checkpoint = Checkpoint::of_run_or_file(folder, &Stated::default())?;
    let recipe = recipe_of(&checkpoint, &args.machine)?;
    let device = device_for(args.machine.device, recipe.main_device())?;
    recipe.precision.require::<Plain>(NAME, &device)?;
    let splits = splits.of(&recipe)?;
    let (images, which) = shown(splits);
    let found = represent::<Plain>(&checkpoint, splits, &images, &recipe, &device)?;
    let mut detail =
        Detail { run: index, images: described(&images, which, &recipe, found.features.len()), ..Default::default() };
    if images.is_labeled() {
        detail.classes = images.class_names().to_vec();
    }
    fill(&mut detail, &found, &images, &recipe, args).map_err(failed)?;
    Ok(detail)
}

/// The recipe of a run with the settings of the call.
fn recipe_of(checkpoint: &Checkpoint, machine: &MachineFlags) -> Result<Recipe> {
    let mut recipe = checkpoint.recipe.clone();
    let MachineFlags { data_dir, device, num_workers, skip_broken, max_pixels, .. } = machine.clone();
    recipe.data_dir = images_of_run(&checkpoint.file, data_dir, recipe.data_dir)
        .map_err(|error| LabError::Usage(format!("{error}, or leave them out with --no-images")))?;
    if device.is_some() {
        (recipe.device, recipe.gpus) = (device, None);
    }
    recipe.num_workers = num_workers.unwrap_or(recipe.num_workers);
    recipe.skip_broken |= skip_broken;
    recipe.max_pixels = max_pixels.or(recipe.max_pixels);
    Ok(recipe)
}

impl Splits {
    /// Reads the images that the recipe's probe uses.
    fn of(&mut self, recipe: &Recipe) -> Result<&qare_data::Splits> {
        let part = format!("{:?} {:?} {:?}", recipe.test_classes, recipe.train_images, recipe.test_images);
        // Parts are drawn with the seed.
        let seed = if recipe.test_images.is_some() || recipe.train_images.is_some() { recipe.seed } else { 0 };
        let key = (recipe.probed(), recipe.data_dir.clone(), recipe.image_size, format!("{part} {seed}"));
        if self.0.as_ref().is_none_or(|(known, _)| *known != key) {
            let splits = Source::of(recipe, recipe.probed()).load(&show)?;
            self.0 = Some((key, Images::limited(recipe, splits).splits));
        }
        Ok(&self.0.as_ref().expect("the images are read").1)
    }
}

/// Returns the test images, or the training images if there are none, and what they are called.
fn shown(splits: &qare_data::Splits) -> (ImageSet, &'static str) {
    let (images, which) =
        if splits.test.is_empty() { (splits.pretraining(), "training") } else { (&splits.test, "test") };
    (images.stratified(MOST, 0), which)
}

fn described(images: &ImageSet, which: &str, recipe: &Recipe, count: usize) -> String {
    let labels = if images.is_labeled() { "" } else { ", without labels" };
    format!(
        "{count} {which} images of {}{labels}. Features are those of the frozen {}.",
        recipe.probed(),
        recipe.backbone
    )
}

fn rows(features: &Features) -> std::result::Result<Rows<'_>, ReportError> {
    Rows::new(&features.values, features.dim)
}

fn fill(
    detail: &mut Detail,
    found: &Representation,
    images: &ImageSet,
    recipe: &Recipe,
    args: &ReportArgs,
) -> std::result::Result<(), ReportError> {
    let (searched, what) = found.searched();
    let neighbours = nearest(&rows(searched)?, NEIGHBOURS);
    detail.map = Some(map_of(searched, what, images, args)?);
    if !neighbours.is_empty() && !neighbours[0].is_empty() {
        let shares = images.is_labeled().then(|| purity(&neighbours, &searched.labels));
        if let Some(shares) = &shares {
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            detail.purity = Some((100.0 * mean, neighbours[0].len()));
        }
        detail.queries = queries(&neighbours, shares.as_deref(), images, searched)?;
    }
    if let Some(predicted) = &found.predicted {
        let matrix = Confusion::of(&searched.labels, &predicted.classes, images.classes())?;
        detail.confusion = Some((matrix, predicted.by.clone()));
    }
    detail.spectra.push(("features".into(), Spectrum::of(&rows(&found.features)?)?));
    if let Some(embeddings) = &found.embeddings {
        detail.spectra.push(("embeddings".into(), Spectrum::of(&rows(embeddings)?)?));
    }
    if let Some([first, second]) = &found.view_sets {
        let floor = (recipe.similarity_floor.0 == SimilarityFloor::Epsilon).then_some(qare::SIMILARITY_FLOOR);
        detail.bound = Some(SetBound::of(&rows(first)?, &rows(second)?, floor)?);
    }
    Ok(())
}

/// The map of a random part of the images.
fn map_of(
    features: &Features,
    what: &str,
    images: &ImageSet,
    args: &ReportArgs,
) -> std::result::Result<MapOfImages, ReportError> {
    let mut chosen = Draw::new(0, Purpose::Part, 0, 0, 0).permutation(features.len());
    chosen.truncate(args.points as usize);
    chosen.sort_unstable();
    let values: Vec<f32> =
        chosen.iter().flat_map(|row| features.values[row * features.dim..][..features.dim].iter().copied()).collect();
    let (method, name) = match args.map {
        MapKind::Tsne => {
            let perplexity = perplexity(chosen.len());
            let name =
                format!("t-SNE (Barnes–Hut, perplexity {perplexity:.0}, from the first two principal components)");
            (MapMethod::Tsne, name)
        }
        MapKind::Pca => (MapMethod::Pca, "The first two principal components".into()),
    };
    let labels = chosen.iter().map(|row| if images.is_labeled() { features.labels[*row] } else { 0 }).collect();
    Ok(MapOfImages {
        method: format!("{name} of the {what} of {} images, divided by their lengths.", chosen.len()),
        points: map(&Rows::new(&values, features.dim)?, method)?,
        labels,
        thumbnails: Some(Arc::new(pictures(images, &chosen)?)),
        texts: chosen.iter().map(|row| format!("image {row}")).collect(),
    })
}

fn pictures(images: &ImageSet, chosen: &[usize]) -> std::result::Result<Pictures, ReportError> {
    let pixels: Vec<u8> = chosen.iter().flat_map(|row| images.pixels(*row).into_owned()).collect();
    Pictures::planar(&pixels, images.side())
}

/// Random queries, and those with the fewest neighbours of their class; of equal ones, those with the nearest neighbours.
fn queries(
    neighbours: &[Vec<Neighbour>],
    shares: Option<&[f64]>,
    images: &ImageSet,
    features: &Features,
) -> std::result::Result<Vec<Query>, ReportError> {
    let mut random = Draw::new(0, Purpose::Part, 0, 0, 1).permutation(neighbours.len());
    random.truncate(QUERIES);
    let mut all: Vec<(String, usize)> = random.into_iter().map(|row| ("Random images".to_string(), row)).collect();
    if let Some(shares) = shares {
        let mut worst: Vec<usize> = (0..neighbours.len()).collect();
        let nearest = |row: usize| neighbours[row][0].cosine;
        worst.sort_by(|one, other| {
            shares[*one].total_cmp(&shares[*other]).then(nearest(*other).total_cmp(&nearest(*one)))
        });
        let name = "Worst images: no or few neighbours of their class, and the nearest of another";
        all.extend(worst.into_iter().take(QUERIES).map(|row| (name.to_string(), row)));
    }
    let caption = |row: usize| match (images.is_labeled(), images.file_name(row)) {
        (true, _) => images.class_names()[usize::from(features.labels[row])].clone(),
        (false, Some(name)) => name.to_string(),
        (false, None) => format!("image {row}"),
    };
    all.into_iter()
        .map(|(group, row)| {
            let shown: Vec<usize> = std::iter::once(row).chain(neighbours[row].iter().map(|near| near.row)).collect();
            let same = neighbours[row].iter().map(|near| features.labels[near.row] == features.labels[row]);
            Ok(Query {
                group,
                images: pictures(images, &shown)?,
                captions: shown.iter().map(|row| caption(*row)).collect(),
                same: if images.is_labeled() { same.collect() } else { Vec::new() },
            })
        })
        .collect()
}

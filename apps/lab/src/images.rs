//! Reading the images that a recipe names, and the part of them that it takes.

use std::path::Path;

use qare_data::{DataError, DatasetName, ImageSet, LoadOptions, Splits, TestClasses};

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::labels;
use crate::evaluation::retrieval::missing_across_cameras;
use crate::progress::{OnProgress, Progress, Work};
use crate::recipe::Recipe;

/// Images on disk, and how to read them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Which dataset.
    pub dataset: DatasetName,
    /// The folder of its files.
    pub data_dir: Option<&'a Path>,
    /// Height and width that images of a folder are brought to.
    pub image_size: Option<usize>,
    /// The shorter side of the images that random crops are drawn from, in the training split; `None` for squares.
    pub source_size: Option<usize>,
    /// The classes of the test split, which training does not have. Only `folder` has them.
    pub test_classes: Option<&'a TestClasses>,
    /// Leave out what cannot be decoded.
    pub skip_broken: bool,
    /// The most pixels an image file may announce.
    pub max_pixels: Option<u64>,
}

impl<'a> Source<'a> {
    /// The images that a run trains on.
    pub fn for_training(recipe: &'a Recipe) -> Self {
        Self { source_size: recipe.source_pixels(), ..Self::of(recipe, recipe.dataset) }
    }

    /// Takes the dataset from the call and everything else from the recipe. Random crops are drawn from squares.
    pub fn of(recipe: &'a Recipe, dataset: DatasetName) -> Self {
        Self {
            dataset,
            data_dir: recipe.data_dir.as_deref(),
            image_size: recipe.image_size,
            source_size: None,
            test_classes: recipe.test_classes.as_ref().filter(|_| dataset == DatasetName::Folder),
            skip_broken: recipe.skip_broken,
            max_pixels: recipe.max_pixels,
        }
    }

    /// Reads the images. Notes say which folder serves as which split and what is left out.
    ///
    /// # Errors
    /// Fails if they are missing or damaged.
    pub fn load(&self, on_progress: OnProgress) -> Result<Splits> {
        let decoded =
            |done: usize, total: usize| on_progress(Progress { work: Work::ReadingImages, done, total, figure: "" });
        let mut options = LoadOptions {
            dir: self.data_dir,
            image_size: self.image_size,
            source_size: self.source_size,
            test_classes: self.test_classes,
            progress: Some(&decoded),
            skip_broken: self.skip_broken,
            ..Default::default()
        };
        options.max_pixels = self.max_pixels.unwrap_or(options.max_pixels);
        let splits = qare_data::load(self.dataset, &options).map_err(|error| match error {
            DataError::NoSuchFolder { .. } => LabError::Usage(format!(
                "{error}; --data-dir, or data_dir of the recipe, names the folder of the images"
            )),
            error @ DataError::TestClasses { .. } => LabError::Usage(error.to_string()),
            error => error.into(),
        })?;
        for note in &splits.notes {
            info!("note: {note}");
        }
        Ok(splits)
    }
}

/// The images that a recipe uses.
pub struct Images {
    /// The images.
    pub splits: Splits,
    /// Describes the part of the dataset, if it is not all of it.
    part: Option<String>,
}

impl Images {
    /// Reads the training images of a recipe, that of a run: see [`Recipe::with_source_size`].
    pub fn for_training(recipe: &Recipe, on_progress: OnProgress) -> Result<Self> {
        Ok(Self::limited(recipe, Source::for_training(recipe).load(on_progress)?))
    }

    /// Reads the images that a recipe's probe is trained and tested on.
    pub fn for_probing(recipe: &Recipe, on_progress: OnProgress) -> Result<Self> {
        let splits = Source::of(recipe, recipe.probed()).load(on_progress)?;
        probeable(recipe.probed(), &splits)?;
        let images = Self::limited(recipe, splits);
        if let Some(part) = &images.part {
            info!("note: {part}");
        }
        Ok(images)
    }

    /// Reads the images of a recipe whose test split is searched: see [`retrievable`].
    ///
    /// # Errors
    /// If they cannot be read, or nothing can be retrieved among them.
    pub fn for_retrieval(recipe: &Recipe, on_progress: OnProgress) -> Result<Self> {
        // Training images are not used.
        let recipe = &Recipe { train_images: None, ..recipe.clone() };
        let images = Self::limited(recipe, Source::of(recipe, recipe.probed()).load(on_progress)?);
        if let Some(part) = &images.part {
            info!("note: {part}");
        }
        retrievable(recipe.probed(), &images.splits.test)?;
        Ok(images)
    }

    /// Limits the splits as the recipe says, by a stratified sample drawn with its seed.
    pub fn limited(recipe: &Recipe, mut splits: Splits) -> Self {
        let mut parts = Vec::new();
        let mut limit = |set: &mut ImageSet, limit: Option<usize>, what: &str| {
            if let Some(limit) = limit.filter(|limit| *limit < set.len()) {
                let whole = std::mem::replace(set, set.stratified(limit, recipe.seed));
                let missing = labels::present(&whole).saturating_sub(labels::present(set));
                let classes = if missing > 0 { format!(", {missing} classes without any") } else { String::new() };
                parts.push(format!("{limit} of {} {what} images{classes}", whole.len()));
            }
        };
        limit(&mut splits.train, recipe.train_images, "training");
        if let Some(set) = &mut splits.unlabeled {
            limit(set, recipe.train_images, "unlabelled");
        }
        limit(&mut splits.test, recipe.test_images, "test");
        let drawn = format!("a part that is drawn with seed {}, each class in proportion", recipe.seed);
        let part = (!parts.is_empty()).then(|| format!("{}: {drawn}", parts.join(" and ")));
        Self { splits, part }
    }

    /// Describes the training images in the header line: their number, or the part of the dataset.
    pub fn described(&self, trained_on: usize) -> String {
        match &self.part {
            None => format!("{trained_on} training images"),
            Some(part) => part.clone(),
        }
    }
}

/// Whether a recipe probes, tests or searches another folder of images than the `trained` recipe's, and both folders exist.
pub fn is_other_folder(trained: &Recipe, recipe: &Recipe) -> bool {
    let folder = |recipe: &Recipe| recipe.data_dir.as_deref().and_then(|dir| dir.canonicalize().ok());
    let both = recipe.probed() == DatasetName::Folder && trained.dataset == DatasetName::Folder;
    both && folder(trained).is_some_and(|trained| folder(recipe).is_some_and(|probed| probed != trained))
}

/// Checks that a classifier can be trained and tested on a dataset.
///
/// # Errors
/// Says why it cannot.
pub fn probeable(dataset: DatasetName, splits: &Splits) -> Result<()> {
    let Splits { train, test, .. } = splits;
    let mut advice = "`qare pretrain` needs no labels";
    let problem = if train.is_empty() || !train.is_labeled() {
        format!("{dataset} has no labelled training images")
    } else if test.is_empty() {
        format!("{dataset} has {} labelled training images and none to test on", train.len())
    } else if !test.is_labeled() {
        "its test images have no labels; `qare embed --split test` writes their features".to_string()
    } else if train.classes() < 2 {
        format!("all training images of {dataset} are of the one class {}", labels::listed(train.class_names()))
    } else if train.class_names() != test.class_names() {
        advice = "`qare retrieve` searches them";
        format!("the test images of {dataset} are of other classes than its training images")
    } else {
        return Ok(());
    };
    Err(LabError::Usage(format!(
        "a probe needs labelled images of two classes or more, some to learn from and others to be tested on: {problem}; \
         {advice}"
    )))
}

/// Checks that images have others of their class to be found, from another camera if the dataset names cameras, and of other classes not to be
/// found.
///
/// # Errors
/// Says what is missing.
pub fn retrievable(dataset: DatasetName, test: &ImageSet) -> Result<()> {
    let mut counts = vec![0usize; test.classes()];
    if test.is_labeled() {
        test.labels().iter().for_each(|label| counts[usize::from(*label)] += 1);
    }
    let present = counts.iter().filter(|count| **count > 0).count();
    let problem = if test.is_empty() {
        format!("{dataset} has no test images")
    } else if !test.is_labeled() {
        "its test images have no labels; `qare embed --split test` writes their features".to_string()
    } else if present < 2 {
        let only = counts.iter().position(|count| *count > 0).unwrap_or(0);
        format!(
            "all test images of {dataset} are of the one class {}",
            labels::listed(&test.class_names()[only..=only])
        )
    } else if counts.iter().all(|count| *count < 2) {
        format!("each of the {present} test images of {dataset} is the only one of its class")
    } else if let Some(missing) = missing_across_cameras(test) {
        return Err(LabError::Usage(format!(
            "retrieval on {dataset} needs a query with an image of its class from another camera to be found: {missing}"
        )));
    } else {
        return Ok(());
    };
    Err(LabError::Usage(format!(
        "retrieval needs labelled test images of two classes or more, and two images of a class: {problem}"
    )))
}

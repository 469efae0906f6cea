//! Reading the images that a recipe names, and the part of them that it takes.

use std::path::Path;

use qare_data::{DatasetName, ImageSet, LoadOptions, Splits};

use crate::error::{AppError, Result};
use crate::labels;
use crate::output::say;
use crate::progress::bar;
use crate::recipe::Recipe;

/// Images on disk, and how to read them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub dataset: DatasetName,
    pub data_dir: Option<&'a Path>,
    pub image_size: Option<usize>,
    pub skip_broken: bool,
    pub max_pixels: Option<u64>,
}

impl<'a> Source<'a> {
    /// The images of a recipe, or of another dataset where it finds its own.
    pub fn of(recipe: &'a Recipe, dataset: DatasetName) -> Self {
        Self {
            dataset,
            data_dir: recipe.data_dir.as_deref(),
            image_size: recipe.image_size,
            skip_broken: recipe.skip_broken,
            max_pixels: recipe.max_pixels,
        }
    }

    /// Reads them, with a bar where that takes a while, and says what serves as what and what is left out.
    pub fn load(&self) -> Result<Splits> {
        if let Some(dir) = self.data_dir.filter(|dir| self.dataset.needs_files() && !dir.is_dir()) {
            return Err(AppError::Usage(format!(
                "{}: there is no such folder; --data-dir, or data_dir of the recipe, names the folder of the images",
                dir.display()
            )));
        }
        let progress = bar(1, "reading images [{bar:25}] {pos}/{len}");
        let decoded = |done: usize, all: usize| {
            progress.set_length(all as u64);
            progress.set_position(done as u64);
        };
        let mut options = LoadOptions {
            dir: self.data_dir,
            image_size: self.image_size,
            progress: Some(&decoded),
            skip_broken: self.skip_broken,
            ..Default::default()
        };
        options.max_pixels = self.max_pixels.unwrap_or(options.max_pixels);
        let splits = qare_data::load(self.dataset, &options);
        progress.finish_and_clear();
        let splits = splits?;
        for note in &splits.notes {
            say(format!("note: {note}"));
        }
        Ok(splits)
    }
}

/// From now on nothing is reported of panics that become errors of an image file.
pub fn quiet_decoders() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !qare_data::is_decoding() {
            report(panic);
        }
    }));
}

/// The images that a recipe takes of a dataset.
pub struct Images {
    pub splits: Splits,
    /// What they are a part of, in words, if they are not all.
    part: Option<String>,
}

impl Images {
    /// Those that a recipe trains on.
    pub fn for_training(recipe: &Recipe) -> Result<Self> {
        Ok(Self::taken(recipe, Source::of(recipe, recipe.dataset).load()?))
    }

    /// Those that a recipe's probe learns from and is tested on.
    pub fn for_probing(recipe: &Recipe) -> Result<Self> {
        let splits = Source::of(recipe, recipe.probed()).load()?;
        probeable(recipe.probed(), &splits)?;
        let images = Self::taken(recipe, splits);
        if let Some(part) = &images.part {
            say(format!("note: {part}"));
        }
        Ok(images)
    }

    /// What a recipe takes of images that are read: of those it limits, a stratified part that its seed decides.
    pub fn taken(recipe: &Recipe, mut splits: Splits) -> Self {
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

    /// Of so many images that training is to see, how the header line tells: all, or what part of all.
    pub fn described(&self, trained_on: usize) -> String {
        match &self.part {
            None => format!("{trained_on} training images"),
            Some(part) => part.clone(),
        }
    }
}

/// Whether a classifier can be trained and tested on a dataset.
///
/// # Errors
/// With the reason, if not.
pub fn probeable(dataset: DatasetName, splits: &Splits) -> Result<()> {
    let Splits { train, test, .. } = splits;
    let problem = if train.is_empty() || !train.is_labeled() {
        format!("{dataset} has no labelled training images there")
    } else if test.is_empty() {
        format!("{dataset} has {} labelled training images there and none to test on", train.len())
    } else if !test.is_labeled() {
        "its test images have no labels; `qare embed --split test` writes their features".to_string()
    } else if train.classes() < 2 {
        format!("all training images of {dataset} are of the one class {}", labels::listed(train.class_names()))
    } else {
        return Ok(());
    };
    Err(AppError::Usage(format!(
        "a probe needs labelled images of two classes or more, some to learn from and others to be tested on: {problem}; \
         `qare pretrain` needs no labels"
    )))
}

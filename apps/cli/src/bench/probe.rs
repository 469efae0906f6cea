//! The linear probe: extracts the features of all images once, then trains a classifier on them.

use std::path::Path;

use burn::module::AutodiffModule;
use qare_data::{DatasetName, ImageSet};
use qare_models::BackboneName;

use super::Bench;
use super::loader::random_images;
use crate::backend::{Plain, Training};
use qare_lab::Result;
use qare_lab::evaluation::features;
use qare_lab::evaluation::softmax_regression;
use qare_lab::images::Source;
use qare_lab::progress::ignore;
use qare_lab::recipe::{ProbeRecipe, Recipe};

const BACKBONE: BackboneName = BackboneName::Conv4;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let images = images(bench)?;
    let device = &bench.clock.device;
    let (count, classes) = (images.len(), images.classes());
    let recipe = ProbeRecipe { epochs: bench.options.probe_epochs, ..ProbeRecipe::default() };
    let backbone = BACKBONE.init::<Training>(1, device).valid();
    let normalization = DatasetName::Cifar10.normalization();
    let (precision, workers, network) =
        (bench.options.precision, bench.options.workers(), bench.options.network(BACKBONE));
    let extract = || features::extract(&backbone, &images, normalization, precision, workers, device);

    let runs = bench.clock.measure(|| extract().map(drop))?;
    let label = format!("{network} features of {count} images");
    bench.figures.seconds(format!("probe.features.{network}.N{count}"), label, &runs, count, Some("images"));

    let (features, epochs) = (extract()?, recipe.epochs);
    let runs = bench.clock.measure(|| {
        softmax_regression::train::<Plain>(&features, classes, &recipe, 1, device, &ignore);
        Ok(())
    })?;
    let label = format!("classifier on features of {count} images, {epochs} epochs");
    bench.figures.seconds(format!("probe.classifier.N{count}.E{epochs}"), label, &runs, 1, None);

    let runs = bench.clock.measure(|| {
        softmax_regression::train::<Plain>(&extract()?, classes, &recipe, 1, device, &ignore);
        Ok(())
    })?;
    let label = format!("probe of {network}, {epochs} epochs, features of {count} images included");
    bench.figures.seconds(format!("probe.total.{network}.N{count}.E{epochs}"), label, &runs, 1, None);
    Ok(())
}

/// A part of CIFAR-10's training images if `--data-dir` is given, else random images.
fn images(bench: &Bench) -> Result<ImageSet> {
    let count = bench.options.images;
    match &bench.options.data_dir {
        None => random_images(count),
        Some(dir) => Ok(cifar10(dir)?.stratified(count, Recipe::default().seed)),
    }
}

/// Loads CIFAR-10's training images from a folder.
pub fn cifar10(dir: &Path) -> Result<ImageSet> {
    let recipe = Recipe { data_dir: Some(dir.to_path_buf()), ..Default::default() };
    Ok(Source::of(&recipe, DatasetName::Cifar10).load(&ignore)?.train)
}

//! Loads the splits of a dataset of image files.

use super::broken::{emptied, left_out, nothing_left, together};
use super::catalog::{Catalog, Entry, UNLABELED};
use super::image_file::{Counter, Decoding};
use super::options::LoadOptions;
use super::split_decoder::SplitDecoder;
use super::splits::Splits;
use crate::error::{DataError, counted};
use crate::images::ImageSet;

/// Decodes the images of a catalog.
///
/// # Errors
/// The first problem of the catalog; or all broken images together, unless [`LoadOptions::skip_broken`] is set; or an error
/// if no training image is left.
pub(crate) fn load(
    dataset: &str,
    mut catalog: Catalog,
    side: usize,
    options: &LoadOptions,
) -> Result<Splits, DataError> {
    if !catalog.problems.is_empty() {
        return Err(catalog.problems.swap_remove(0));
    }
    let counter = Counter::new(catalog.len(), options.progress);
    let how = Decoding { side, source: options.source_size, max_pixels: options.max_pixels };
    let set = |split, entries: &[Entry], class_names: &[String], labeled: bool| {
        // Nothing is trained on the test split.
        let how = Decoding { source: how.source.filter(|_| split != "test"), ..how };
        let decoder = SplitDecoder { root: &catalog.root, entries, how, skip: options.skip_broken, counter: &counter };
        let unlabeled = [UNLABELED.to_owned()];
        let names = if labeled { class_names } else { &unlabeled };
        let (set, broken) = decoder.set(format!("{dataset}-{split}"), options.memory_limit, names)?;
        Ok::<_, DataError>((if labeled { set } else { set.with_labels_unknown() }, broken))
    };
    let (train, mut broken) = set("train", &catalog.train, &catalog.class_names, catalog.train_labeled)?;
    let (test, in_test) = set("test", &catalog.test, catalog.test_class_names(), catalog.test_labeled)?;
    let (unlabeled, in_unlabeled) = set("unlabeled", &catalog.unlabeled, &[], false)?;
    broken.extend(in_test);
    broken.extend(in_unlabeled);
    if !broken.is_empty() && !options.skip_broken {
        return Err(together(broken));
    }
    if !broken.is_empty() && train.is_empty() {
        return Err(nothing_left(&catalog, &broken));
    }
    let mut notes = std::mem::take(&mut catalog.notes);
    if !broken.is_empty() {
        notes.push(left_out(&broken));
        notes.extend(emptied(&catalog, train.labels(), test.len()));
    }
    notes.extend([&train, &unlabeled].into_iter().filter_map(|set| about_sources(set, options.source_size?)));
    let unlabeled = (!unlabeled.is_empty()).then_some(unlabeled);
    Ok(Splits { unlabeled, notes, skipped: broken, ..Splits::new(train, test) })
}

/// Says what the random crops of a set are drawn from, and where it is.
fn about_sources(set: &ImageSet, size: usize) -> Option<String> {
    let (bytes, in_memory) = set.bytes_of_sources()?;
    let place = if in_memory { "memory" } else { "a file, of which the system keeps in memory what fits" };
    let images = counted(set.len(), "image");
    let mib = bytes as f64 / f64::from(1 << 20);
    Some(format!(
        "random crops are drawn from {images} whose shorter side has {size} pixels at most, {mib:.1} MiB in {place}"
    ))
}

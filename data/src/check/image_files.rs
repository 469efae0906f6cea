//! Checks image files by decoding all of them.

use std::path::Path;

use rayon::prelude::*;

use super::options::CheckOptions;
use super::report::{Finding, SplitSummary};
use crate::datasets::broken;
use crate::datasets::catalog::{Catalog, Entry};
use crate::datasets::folder;
use crate::datasets::image_file::{Counter, Decoding, decode};
use crate::error::{DataError, counted};

/// Decodes all images of a catalog and adds the results to a finding. With `side`, a note counts images of other sizes.
pub(super) fn image_files(
    mut finding: Finding,
    mut catalog: Catalog,
    side: Option<usize>,
    options: &CheckOptions,
) -> Finding {
    let counter = Counter::new(catalog.len(), options.progress);
    finding.add(std::mem::take(&mut catalog.problems));
    let (mut other_sizes, mut left_out, mut labels, mut tests) = (0, Vec::new(), Vec::new(), 0);
    let splits = [
        ("train", &catalog.train, catalog.train_labeled),
        ("test", &catalog.test, catalog.test_labeled),
        ("unlabeled", &catalog.unlabeled, false),
    ];
    for (split, entries, labeled) in splits {
        let (sound, broken) = decode_all(&catalog.root, entries, side, options.max_pixels, &counter, &mut other_sizes);
        match split {
            "train" => labels.clone_from(&sound),
            "test" => tests = sound.len(),
            _ => {}
        }
        if !options.skip_broken {
            finding.add(broken);
        } else if split == "train" && sound.is_empty() && !broken.is_empty() {
            finding.add([broken::nothing_left(&catalog, &broken)]);
        } else {
            left_out.extend(broken);
        }
        if labeled {
            finding.splits.push(SplitSummary::of(split, sound.into_iter()));
        } else if split != "unlabeled" || !entries.is_empty() {
            finding.splits.push(SplitSummary::unlabeled(split, sound.len()));
        }
    }
    finding.notes.append(&mut catalog.notes);
    if !left_out.is_empty() {
        finding.notes.push(broken::left_out(&left_out));
        finding.notes.extend(broken::emptied(&catalog, &labels, tests));
    }
    if let Some(side) = side.filter(|_| other_sizes > 0) {
        finding.notes.push(format!("{} not {side}x{side}, to be resized when loaded", counted(other_sizes, "image")));
    }
    finding
}

/// The labels of the sound images, and an error for each broken one.
fn decode_all(
    root: &Path,
    entries: &[Entry],
    side: Option<usize>,
    max_pixels: u64,
    counter: &Counter,
    other_sizes: &mut usize,
) -> (Vec<u16>, Vec<DataError>) {
    let how = Decoding { side: side.unwrap_or(folder::SIDE), source: None, max_pixels };
    let decoded: Vec<_> = entries
        .par_iter()
        .map_init(
            || vec![0; 3 * how.side * how.side],
            |pixels, entry| {
                let size = decode(root, entry, how, pixels);
                counter.add(1);
                size.map(|size| (entry.label, size))
            },
        )
        .collect();
    let (mut labels, mut problems) = (Vec::with_capacity(entries.len()), Vec::new());
    for result in decoded {
        match result {
            Ok((label, size)) => {
                labels.push(label);
                *other_sizes += usize::from(side.is_some_and(|side| size != (side, side)));
            }
            Err(problem) => problems.push(problem),
        }
    }
    (labels, problems)
}

//! The image files that a dataset's lists name.

use std::collections::BTreeSet;

use super::catalog::{Catalog, Entry};
use super::tree::Folder;
use crate::error::{DataError, counted, listed};

/// Checks the files of a catalog whose entries are from lists: an entry without a file is a problem, and a note counts the images in
/// `folder` that no list names.
pub(super) fn compare(catalog: &mut Catalog, folder: &Folder, expected: &'static str) {
    let mut found: BTreeSet<String> = folder.all().iter().flat_map(|folder| &folder.images).cloned().collect();
    let mut missing = Vec::new();
    for Entry { name, .. } in catalog.train.iter().chain(&catalog.test) {
        // A file in another format than its name says still counts.
        if !found.remove(name) && !catalog.root.join(name).is_file() {
            missing.push(DataError::MissingFile { path: catalog.root.join(name), expected });
        }
    }
    catalog.problems.extend(missing);
    if !found.is_empty() {
        let found: Vec<String> = found.into_iter().collect();
        let images = counted(found.len(), "image");
        catalog.notes.push(format!("{images} that no list names, left out: {}", listed(&found)));
    }
}

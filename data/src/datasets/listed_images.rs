//! The image files that a dataset's lists name.

use std::collections::BTreeSet;

use super::catalog::{Catalog, Entry};
use super::tree::Folder;
use crate::error::{DataError, counted, listed};

/// Checks the files of a catalog whose entries are from lists: an entry without a file is a problem, as is a second one of the same file,
/// which retrieval would find at once. Both are taken out of the catalog. A note counts the images in `folder` that no list names.
pub(super) fn compare(catalog: &mut Catalog, folder: &Folder, expected: &'static str) {
    let mut found: BTreeSet<String> = folder.all().iter().flat_map(|folder| &folder.images).cloned().collect();
    let (mut problems, mut known) = (Vec::new(), BTreeSet::new());
    let Catalog { root, train, test, .. } = catalog;
    let mut is_sound = |Entry { name, .. }: &Entry| {
        let path = root.join(name);
        // A file in another format than its name says still counts.
        let problem = if !found.remove(name) && !path.is_file() {
            DataError::MissingFile { path, expected }
        } else if !known.insert(name.clone()) {
            let problem = "it is listed twice".to_owned();
            DataError::Layout { path, problem, expected: "each image once: delete one of its entries" }
        } else {
            return true;
        };
        problems.push(problem);
        false
    };
    train.retain(&mut is_sound);
    test.retain(&mut is_sound);
    catalog.problems.extend(problems);
    if !found.is_empty() {
        let found: Vec<String> = found.into_iter().collect();
        let images = counted(found.len(), "image");
        catalog.notes.push(format!("{images} that no list names, left out: {}", listed(&found)));
    }
}

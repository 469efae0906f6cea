//! Person re-identification in the layout of Market-1501: three folders of images, whose names say the identity and the camera.
//!
//! `0002_c1s1_000451_03.jpg` is identity 2 from camera 1. Identity -1 is junk: neither right nor wrong, and left out. Identity 0000 is a
//! distractor: it stays in the gallery, where it is right for no query. Among queries and training images it is left out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::catalog::{Catalog, Entry};
use super::class_disjoint::{self, Classes};
use super::tree::Folder;
use crate::error::{DataError, counted};
use crate::images::RetrievalRole;

/// The folders of the training split, the queries, and the gallery.
pub(crate) const FOLDERS: [&str; 3] = ["bounding_box_train", "query", "bounding_box_test"];
/// The class of distractors.
pub const DISTRACTORS: &str = "0000";
/// The identity of junk.
const JUNK: &str = "-1";
const NAMES: &str = "IDENTITY_cCAMERA….jpg, as 0002_c1s1_000451_03.jpg";

/// The catalog of the three folders in `root`. `belongs` says which folders belong to the dataset.
pub(super) fn catalog(root: PathBuf, belongs: &'static str) -> Catalog {
    let mut catalog = Catalog::of(root);
    let mut parts = Vec::new();
    for name in FOLDERS {
        let path = catalog.root.join(name);
        if !path.is_dir() {
            catalog.problems.push(DataError::MissingFile { path, expected: belongs });
            continue;
        }
        let mut folder = Folder::scan_part(&catalog.root, name);
        let unreadable = folder.take_problems();
        catalog.problems.extend(unreadable);
        if folder.count == 0 {
            catalog.problem(path, "there are no images in it".to_owned(), belongs);
        }
        parts.push(folder);
    }
    let [train, query, gallery] = &parts[..] else { return catalog };
    let train_classes = people(&mut catalog, train, None);
    let mut test_classes = people(&mut catalog, query, Some(RetrievalRole::Query));
    let queries: usize = test_classes.values().map(Vec::len).sum();
    for (identity, entries) in people(&mut catalog, gallery, Some(RetrievalRole::Gallery)) {
        test_classes.entry(identity).or_default().extend(entries);
    }
    let distractors = test_classes.get(DISTRACTORS).map_or(0, Vec::len);
    let shared = train_classes.keys().filter(|identity| test_classes.contains_key(*identity)).count();
    catalog.notes.push(format!(
        "{}/ is the training split; the test split is {} in {}/ and the gallery in {}/",
        FOLDERS[0],
        counted(queries, "image"),
        FOLDERS[1],
        FOLDERS[2]
    ));
    if distractors > 0 {
        let images = counted(distractors, "distractor");
        catalog.notes.push(format!("{images} ({DISTRACTORS}) in the gallery, of no person who is searched for"));
    }
    if shared > 0 {
        let people = if shared == 1 { "1 identity is".to_owned() } else { format!("{shared} identities are") };
        catalog.notes.push(format!("{people} in the training and the test split"));
    }
    class_disjoint::set(&mut catalog, train_classes, test_classes);
    for folder in &parts {
        catalog.note_left_out(folder, |_| false);
    }
    catalog
}

/// The images of a folder by identity. Names of another form are problems.
fn people(catalog: &mut Catalog, folder: &Folder, role: Option<RetrievalRole>) -> Classes {
    let mut people: Classes = BTreeMap::new();
    let (mut junk, mut distractors) = (0, 0);
    for name in folder.all_images() {
        match identity_and_camera(&name) {
            None => {
                let path = catalog.root.join(&name);
                catalog.problem(path, "its name has no identity and camera".to_owned(), NAMES);
            }
            Some((JUNK, _)) => junk += 1,
            // Of many people, who are no class: they would be right for each other.
            Some((DISTRACTORS, _)) if role != Some(RetrievalRole::Gallery) => distractors += 1,
            Some((identity, camera)) => {
                let identity = identity.to_owned();
                people.entry(identity).or_default().push(Entry { camera: Some(camera), role, ..Entry::new(name, 0) });
            }
        }
    }
    if junk > 0 {
        catalog.notes.push(format!("{} ({JUNK}) in {} left out", counted(junk, "junk image"), folder.shown()));
    }
    if distractors > 0 {
        let images = counted(distractors, "distractor");
        catalog.notes.push(format!("{images} ({DISTRACTORS}) in {} left out", folder.shown()));
    }
    people
}

/// The identity and the camera in a file name.
fn identity_and_camera(path: &str) -> Option<(&str, u16)> {
    let name = path.rsplit('/').next()?;
    let (identity, rest) = name.split_once("_c")?;
    let digits = identity.strip_prefix('-').unwrap_or(identity);
    let known = identity == JUNK || digits == identity;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let camera = rest[..end].parse().ok()?;
    (known && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some((identity, camera))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_identity_and_camera() {
        for (name, expected) in [
            ("bounding_box_train/0002_c1s1_000451_03.jpg", Some(("0002", 1))),
            ("query/0001_c2_1.png", Some(("0001", 2))),
            ("1501_c6s4_001902_01.jpg", Some(("1501", 6))),
            ("0012_c15_f0044158.jpg", Some(("0012", 15))),
            ("-1_c3s2_000451_03.jpg", Some(("-1", 3))),
            ("0000_c3s2_000451_03.jpg", Some(("0000", 3))),
            ("0002.jpg", None),
            ("0002_cs1.jpg", None),
            ("_c1s1.jpg", None),
            ("x02_c1s1.jpg", None),
            ("-2_c1s1.jpg", None),
            ("0002_c99999_1.jpg", None),
        ] {
            assert_eq!(identity_and_camera(name), expected, "{name}");
        }
    }
}

//! Stanford Cars as published: folders of numbered photographs, and MATLAB files with the class of each.

use std::fs;
use std::path::{Path, PathBuf};

use qare_matfile::{Array, MatFile};
use qare_printable::printable;

use super::cars196::{CLASSES, TRAINED};
use super::catalog::{Catalog, Entry};
use super::class_disjoint::{self, Classes};
use super::listed_images;
use super::tree::Folder;
use crate::error::{DataError, counted};

/// The most bytes that a file of annotations may inflate to; those of all images take 8 MB.
const LIMIT: usize = 64 << 20;
/// The folders that may hold the annotations: that of `car_devkit.tgz`, that of a common copy, and the dataset's.
const DEVKITS: [&str; 3] = ["devkit", "car_devkit/devkit", ""];
/// All images in one folder.
const ALL: [&str; 2] = ["car_ims", "cars_annos.mat"];
/// The folders of two parts, and the annotations of each.
const PARTS: [[&str; 2]; 2] = [["cars_train", "cars_train_annos.mat"], ["cars_test", "cars_test_annos_withlabels.mat"]];
/// The names of the classes, for the images of [`PARTS`]. `cars_annos.mat` has them, too.
const META: &str = "cars_meta.mat";

const MAT: &str = "a MAT-file as published; download it again";
const TEST_LABELS: &str = "the classes of cars_test/, which cars_test_annos.mat lacks: put it in devkit/ or beside it (Stanford Cars gives it out as a file of its own)";
const BELONGS: &str =
    "Stanford Cars is car_ims/ with cars_annos.mat, or cars_train/ and cars_test/ with the annotations in devkit/";

/// The form in which the dataset was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// [`ALL`].
    Together,
    /// [`PARTS`].
    InParts,
}

impl Published {
    /// The form of the files in a folder: `None` if there are no annotations.
    pub fn find(root: &Path) -> Option<Self> {
        let [images, annotations] = ALL;
        let together = located(root, annotations).is_some();
        let parts = PARTS.iter().any(|[_, annotations]| located(root, annotations).is_some());
        match (together, parts) {
            (true, false) => Some(Self::Together),
            (true, true) if root.join(images).is_dir() => Some(Self::Together),
            (false, false) => None,
            _ => Some(Self::InParts),
        }
    }
}

/// The path of a file of annotations in the dataset's folder.
fn located(root: &Path, name: &str) -> Option<String> {
    let inside = |devkit: &str| if devkit.is_empty() { name.to_owned() } else { format!("{devkit}/{name}") };
    DEVKITS.into_iter().map(inside).find(|path| root.join(path).is_file())
}

/// The catalog of the images.
pub(super) fn catalog(root: PathBuf, published: &Published) -> Catalog {
    let mut catalog = Catalog::of(root);
    let mut tree = Folder::scan(&catalog.root);
    catalog.problems = tree.take_problems();
    let mut splits = [Classes::new(), Classes::new()];
    match published {
        Published::Together => {
            let [folder, annotations] = ALL;
            let (file, folder) = (Annotations::read(&mut catalog, annotations, BELONGS), images(&mut catalog, folder));
            let names = file.as_ref().and_then(|file| file.class_names(&mut catalog));
            if let (Some(file), Some(folder), Some(names)) = (file, folder, names) {
                file.add_images(&mut catalog, "relative_im_path", &folder, &names, &mut splits);
            }
        }
        Published::InParts => {
            let names = Annotations::read(&mut catalog, META, BELONGS).and_then(|meta| meta.class_names(&mut catalog));
            for [folder, annotations] in PARTS {
                let expected = if folder == "cars_test" { TEST_LABELS } else { BELONGS };
                let (file, folder) =
                    (Annotations::read(&mut catalog, annotations, expected), images(&mut catalog, folder));
                if let (Some(file), Some(folder), Some(names)) = (file, folder, &names) {
                    file.add_images(&mut catalog, "fname", &folder, names, &mut splits);
                }
            }
        }
    }
    if catalog.problems.is_empty()
        && let Some(empty) = splits.iter().position(Classes::is_empty)
    {
        let side = ["1 to 98, the training split", "99 to 196, the test split"][empty];
        catalog.problem(catalog.root.clone(), format!("there are no images of the classes {side}"), "images of both");
    }
    let [train, test] = splits;
    class_disjoint::set(&mut catalog, train, test);
    if catalog.problems.is_empty() {
        listed_images::compare(&mut catalog, &tree, "an annotation names it");
    }
    let note = "the classes 1 to 98 are the training split, and the others are the test split";
    catalog.notes.insert(0, note.to_owned());
    catalog.note_left_out(&tree, |file| file.ends_with(".mat") || file.contains("devkit/"));
    catalog
}

/// The folder of the images of a part. Some copies have it in a folder of the same name.
fn images(catalog: &mut Catalog, folder: &str) -> Option<String> {
    let twice = format!("{folder}/{folder}");
    if catalog.root.join(&twice).is_dir() {
        return Some(twice);
    }
    let path = catalog.root.join(folder);
    if path.is_dir() {
        return Some(folder.to_owned());
    }
    catalog.problems.push(DataError::MissingFile { path, expected: BELONGS });
    None
}

/// A file of annotations.
struct Annotations {
    path: PathBuf,
    file: MatFile,
}

impl Annotations {
    /// Reads a file of annotations. One that is missing or damaged is a problem of the catalog.
    fn read(catalog: &mut Catalog, name: &str, expected: &'static str) -> Option<Self> {
        let Some(found) = located(&catalog.root, name) else {
            let (path, problem) = (catalog.root.join(DEVKITS[0]).join(name), "it is missing".to_owned());
            catalog.problem(path, problem, expected);
            return None;
        };
        let path = catalog.root.join(found);
        match fs::read(&path) {
            Err(source) => catalog.problems.push(DataError::Read { path, source }),
            Ok(bytes) => match MatFile::read(&bytes, LIMIT) {
                Ok(file) => return Some(Self { path, file }),
                Err(error) => catalog.problem(path, error.to_string(), MAT),
            },
        }
        None
    }

    fn bad(&self, catalog: &mut Catalog, problem: String, expected: &'static str) {
        catalog.problem(self.path.clone(), problem, expected);
    }

    /// The names of the 196 classes.
    fn class_names(&self, catalog: &mut Catalog) -> Option<Vec<String>> {
        let expected = "the variable class_names with the names of the 196 classes of Stanford Cars";
        let cells = self.file.variable("class_names").and_then(Array::cells);
        let names = cells.and_then(|cells| cells.iter().map(Array::text).collect::<Option<Vec<_>>>());
        let Some(names) = names else {
            self.bad(catalog, "it has no class_names".to_owned(), expected);
            return None;
        };
        if names.len() != CLASSES {
            self.bad(catalog, format!("it names {}", counted(names.len(), "class")), expected);
            return None;
        }
        // The numbers keep the classes in their order, and apart if two have one name.
        Some(names.iter().enumerate().map(|(place, name)| format!("{:03}.{name}", place + 1)).collect())
    }

    /// Adds the images in `folder` that the file annotates to the classes of their split. The last part of the text in `field` is the name
    /// of the file.
    fn add_images(
        &self,
        catalog: &mut Catalog,
        field: &str,
        folder: &str,
        names: &[String],
        splits: &mut [Classes; 2],
    ) {
        let annotations = self.file.variable("annotations");
        let fields = annotations.and_then(|structs| Some((structs.field(field)?, structs.field("class")?)));
        let Some((files, classes)) = fields else {
            let problem = format!("it has no annotations with the fields {field} and class");
            return self.bad(catalog, problem, "the annotations as published; cars_test_annos.mat has no classes");
        };
        for (place, (file, class)) in files.zip(classes).enumerate() {
            let number = place + 1;
            let file = file.text().and_then(|file| file.rsplit('/').next());
            let Some(file) = file.filter(|file| !file.is_empty()) else {
                let problem = format!("annotation {number} has no text in the field {field}");
                self.bad(catalog, problem, "the name of an image");
                continue;
            };
            let known = class.number().filter(|class| class.fract() == 0.0 && (1.0..=CLASSES as f64).contains(class));
            let Some(class) = known else {
                let said = class.number().map_or_else(|| "no number".to_owned(), |class| class.to_string());
                let problem = format!("annotation {number}, of {}, has the class {said}", printable(file));
                self.bad(catalog, problem, "one from 1 to 196");
                continue;
            };
            let class = class as usize;
            let split = &mut splits[usize::from(class > TRAINED)];
            split.entry(names[class - 1].clone()).or_default().push(Entry::new(format!("{folder}/{file}"), 0));
        }
    }
}

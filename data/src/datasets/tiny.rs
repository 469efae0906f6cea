//! tiny-ImageNet (Le and Yang 2015) from its folder `tiny-imagenet-200/`: 200 classes with 500 training images each, 64×64. The
//! validation images, 50 per class, are the test split, because the official test images have no labels.
//!
//! - `train/WNID/images/*.JPEG`, or `train/WNID/*.JPEG`: the training images.
//! - `val/images/*.JPEG` with their classes in `val/val_annotations.txt`, or class folders in `val/`: the validation images.
//! - `wnids.txt`: the classes in the order of their labels. Without this file, the classes are sorted.
//! - `words.txt`: the names of the classes.
//!
//! A part of the dataset works as well: the classes are those with training images, and validation images of other classes are
//! left out.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use super::catalog::{Catalog, Entry};
use super::image_files;
use super::options::LoadOptions;
use super::splits::Splits;
use super::tree::Folder;
use crate::error::{DataError, counted};
use crate::transforms::Normalization;

/// Height and width of an image in pixels.
pub const SIDE: usize = 64;

/// Channel statistics that tiny-ImageNet is commonly normalised with.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

pub(crate) const FOLDER: &str = "tiny-imagenet-200";
const ADVICE: &str = "download and unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip";
const ANNOTATIONS: &str = "val/val_annotations.txt";
/// Number of classes, and of training and validation images per class, of the complete dataset.
pub(crate) const WHOLE: (usize, usize, usize) = (200, 500, 50);

/// Loads tiny-ImageNet from `dir`: `tiny-imagenet-200/` or the folder that contains it.
///
/// # Errors
/// If the folder is missing, files are missing or damaged, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "tiny", folder: FOLDER, advice: ADVICE })?;
    let root = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "tiny",
        dir: dir.to_path_buf(),
        expected: "a folder tiny-imagenet-200 with train and val",
        advice: ADVICE,
    })?;
    image_files::load("tiny", catalog(root), options.image_size.unwrap_or(SIDE), options)
}

/// The dataset's folder: `tiny-imagenet-200` in `dir`, or `dir` itself.
pub(crate) fn find(dir: &Path) -> Option<PathBuf> {
    let inside = dir.join(FOLDER);
    if inside.is_dir() { Some(inside) } else { dir.join("train").is_dir().then(|| dir.to_path_buf()) }
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    let mut catalog = Catalog::of(root);
    if !catalog.root.join("train").is_dir() {
        let expected = "tiny-ImageNet is the folders train and val";
        catalog.problems.push(DataError::MissingFile { path: catalog.root.join("train"), expected });
        return catalog;
    }
    let mut tree = Folder::scan(&catalog.root);
    catalog.problems = tree.take_problems();
    let listed = read_wnids(&mut catalog);
    let folders = names(tree.at("train"));
    let wnids = match &listed {
        None => folders,
        Some(listed) => in_order(&mut catalog, listed, folders),
    };
    catalog.class_names = readable(&mut catalog, &wnids);
    for (class, wnid) in wnids.iter().enumerate() {
        let label = catalog.label(class);
        let images = train_images(&mut catalog, &tree, wnid);
        catalog.train.extend(images.into_iter().map(|name| Entry::new(name, label)));
    }
    if wnids.is_empty() {
        let problem = "there are no class folders with images".to_owned();
        catalog.problem(catalog.root.join("train"), problem, "train/WNID/images/*.JPEG");
    }
    let labels = wnids.iter().enumerate().map(|(class, wnid)| (wnid.as_str(), class as u16)).collect();
    if let Some(images) = tree.at("val/images") {
        annotated(&mut catalog, images, &labels);
    } else if let Some(val) = tree.at("val") {
        sorted_into_folders(&mut catalog, val, &labels);
    } else {
        let expected = "the test split of tiny-ImageNet is val/images with val/val_annotations.txt";
        catalog.problems.push(DataError::MissingFile { path: catalog.root.join("val"), expected });
    }
    let note = "train/ is the training split and val/ the test split, as the official test images have no labels";
    catalog.notes.insert(0, note.to_owned());
    for split in ["train", "val"].into_iter().filter_map(|split| tree.at(split)) {
        catalog.note_left_out(split, |file| file.ends_with("_boxes.txt") || file == ANNOTATIONS);
    }
    catalog
}

fn names(folder: Option<&Folder>) -> Vec<String> {
    folder.into_iter().flat_map(|folder| &folder.folders).map(|folder| folder.name.clone()).collect()
}

/// The text of an optional file.
fn read_text(catalog: &mut Catalog, name: &str) -> Option<String> {
    let path = catalog.root.join(name);
    if !path.is_file() {
        return None;
    }
    // The names of the classes may be in another encoding than UTF-8.
    match fs::read(&path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(source) => {
            catalog.problems.push(DataError::Read { path, source });
            None
        }
    }
}

fn read_wnids(catalog: &mut Catalog) -> Option<Vec<String>> {
    let text = read_text(catalog, "wnids.txt")?;
    let mut wnids: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for (line, wnid) in text.lines().enumerate().map(|(line, wnid)| (line + 1, wnid.trim())) {
        if !wnid.is_empty() && !known.insert(wnid) {
            let (path, problem) =
                (catalog.root.join("wnids.txt"), format!("class {} is listed before", printable(wnid)));
            catalog.problems.push(DataError::BadList { path, line, problem, expected: "each class once" });
        } else if !wnid.is_empty() {
            wnids.push(wnid.to_owned());
        }
    }
    Some(wnids)
}

/// The listed classes that have a folder, in the order of the list. A folder of no listed class is a problem.
fn in_order(catalog: &mut Catalog, listed: &[String], folders: Vec<String>) -> Vec<String> {
    let mut folders: BTreeSet<String> = folders.into_iter().collect();
    let wnids: Vec<String> = listed.iter().filter(|wnid| folders.remove(*wnid)).cloned().collect();
    for folder in folders {
        let path = catalog.root.join("train").join(folder);
        catalog.problem(
            path,
            "the folder is not a class of wnids.txt".to_owned(),
            "a class of wnids.txt; add or remove it",
        );
    }
    if wnids.len() < listed.len() {
        let missing = listed.len() - wnids.len();
        catalog
            .notes
            .push(format!("{missing} of the {} classes of wnids.txt without a folder in train/", listed.len()));
    }
    wnids
}

/// The first name of each class in `words.txt`, or its WNID. Names that several classes share get the WNID appended.
fn readable(catalog: &mut Catalog, wnids: &[String]) -> Vec<String> {
    let text = read_text(catalog, "words.txt").unwrap_or_default();
    let words: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let word = |wnid: &String| {
        let word = words.get(wnid.as_str()).and_then(|words| words.split(',').next()).map_or("", str::trim);
        if word.is_empty() { wnid.clone() } else { word.to_owned() }
    };
    let names: Vec<String> = wnids.iter().map(word).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
    // Two classes are named `crane`.
    let distinct = |(name, wnid): (&String, &String)| {
        if counts[name.as_str()] > 1 && name != wnid { format!("{name} ({wnid})") } else { name.clone() }
    };
    names.iter().zip(wnids).map(distinct).collect()
}

/// The training images of a class. An image that the class's list of boxes contains and that does not exist is a problem.
fn train_images(catalog: &mut Catalog, tree: &Folder, wnid: &str) -> Vec<String> {
    let folder = format!("train/{wnid}");
    let images = tree.at(&folder).map(Folder::all_images).unwrap_or_default();
    if images.is_empty() {
        let path = catalog.root.join(&folder);
        catalog.problem(
            path,
            "the class has no images".to_owned(),
            "train/WNID/images/*.JPEG; unpack the archive again",
        );
    } else if let Some(boxes) = read_text(catalog, &format!("{folder}/{wnid}_boxes.txt")) {
        let found: BTreeSet<&str> = images.iter().filter_map(|image| image.rsplit('/').next()).collect();
        let listed = boxes.lines().filter_map(|line| line.split_whitespace().next());
        for image in listed.filter(|image| !found.contains(image)) {
            let path = catalog.root.join(&folder).join("images").join(image);
            let expected = "the class has it in its list of boxes";
            catalog.problems.push(DataError::MissingFile { path, expected });
        }
    }
    images
}

/// Adds validation images that are in one folder, with a list of their classes.
fn annotated(catalog: &mut Catalog, folder: &Folder, labels: &HashMap<&str, u16>) {
    let path = catalog.root.join(ANNOTATIONS);
    let Some(text) = read_text(catalog, ANNOTATIONS) else {
        let expected = "it says what class each image in val/images is of";
        return catalog.problems.push(DataError::MissingFile { path, expected });
    };
    let images: Vec<String> =
        folder.images.iter().filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned())).collect();
    let mut unnamed: BTreeSet<&str> = images.iter().map(String::as_str).collect();
    let (mut entries, mut others) = (Vec::new(), 0);
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let mut fields = text.split('\t');
        let (Some(image), Some(wnid)) = (fields.next(), fields.next()) else {
            let problem = format!("`{}` has no tab", printable(text.chars().take(40).collect::<String>()));
            let expected = "an image, its class and four numbers, with tabs between them";
            catalog.problems.push(DataError::BadList { path: path.clone(), line: line + 1, problem, expected });
            continue;
        };
        let there = unnamed.remove(image);
        match labels.get(wnid) {
            None => others += usize::from(there),
            Some(&label) if there => entries.push(Entry::new(format!("val/images/{image}"), label)),
            Some(_) if images.iter().any(|known| known == image) => {
                let problem = format!("{} is listed before", printable(image));
                let expected = "each image once";
                catalog.problems.push(DataError::BadList { path: path.clone(), line: line + 1, problem, expected });
            }
            Some(_) => {
                let path = catalog.root.join("val/images").join(image);
                let expected = "val_annotations.txt lists it";
                catalog.problems.push(DataError::MissingFile { path, expected });
            }
        }
    }
    for image in unnamed {
        let path = catalog.root.join("val/images").join(image);
        catalog.problem(path, "the image has no class".to_owned(), "a line for it in val/val_annotations.txt");
    }
    left_out(catalog, others);
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    catalog.test = entries;
}

/// Adds validation images that are in class folders.
fn sorted_into_folders(catalog: &mut Catalog, folder: &Folder, labels: &HashMap<&str, u16>) {
    let mut others = 0;
    for class in &folder.folders {
        let images = class.all_images();
        match labels.get(class.name.as_str()) {
            Some(&label) => catalog.test.extend(images.into_iter().map(|name| Entry::new(name, label))),
            None => others += images.len(),
        }
    }
    if catalog.test.is_empty() {
        let path = catalog.root.join("val");
        let expected = "val/images with val/val_annotations.txt, or class folders; unpack the archive again";
        catalog.problem(path, "there are no images of the classes in train/".to_owned(), expected);
    }
    left_out(catalog, others);
}

fn left_out(catalog: &mut Catalog, images: usize) {
    if images > 0 {
        let note = format!("{} in val/ left out, of classes without training images", counted(images, "image"));
        catalog.notes.push(note);
    }
}

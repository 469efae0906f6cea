//! Finds the datasets in a folder, and checks each of them.

use std::fs;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use super::class_disjoint::class_disjoint;
use super::image_files::image_files;
use super::options::CheckOptions;
use super::report::{Finding, Report, SplitSummary};
use crate::datasets::cifar::{Archive, Form, Layout};
use crate::datasets::dataset_folder::{expect_folder, is_archive};
use crate::datasets::{DatasetName, Progress, cifar10, cifar100, class_folders, folder, slim, stl10, tiny};
use crate::error::{DataError, listed};

/// Finds the datasets in a folder and reads all of their files. Calls `progress` after each image file.
///
/// # Errors
/// If the folder does not exist or is a file. Problems with its content are in the report.
pub fn check(dir: &Path, progress: Option<Progress>) -> Result<Report, DataError> {
    check_with(dir, &CheckOptions { progress, ..Default::default() })
}

/// As [`check`], with all options.
///
/// # Errors
/// As [`check`].
pub fn check_with(dir: &Path, options: &CheckOptions) -> Result<Report, DataError> {
    expect_folder(dir)?;
    let mut findings = Vec::new();
    findings.extend(cifar(dir, &cifar10::ARCHIVE, &[DatasetName::Cifar10]));
    findings.extend(cifar(dir, &cifar100::ARCHIVE, &[DatasetName::Cifar100, DatasetName::Supercifar100]));
    findings.extend(stl10::find(dir).map(stl10));
    findings.extend(tiny_images(dir).map(|root| tiny_imagenet(root, options)));
    findings.extend(slim_images(dir).map(|root| slim(root, options)));
    findings.extend(class_disjoint(dir, options));
    let mut notes = Vec::new();
    if findings.is_empty() {
        let catalog = class_folders::catalog(dir.to_path_buf(), None);
        if catalog.train.is_empty() && catalog.problems.is_empty() {
            notes = without_dataset(dir, catalog.notes);
        } else {
            let finding = Finding::new(&[DatasetName::Folder], "image files", dir.to_path_buf());
            findings.push(image_files(finding, catalog, None, options));
        }
    }
    Ok(Report { dir: dir.to_path_buf(), findings, notes })
}

/// What is in a folder without a dataset: nothing, archives that are not unpacked, or what the notes on its images say.
fn without_dataset(dir: &Path, mut notes: Vec<String>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return notes };
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if files.is_empty() {
        return vec!["the folder is empty".to_owned()];
    }
    let mut archives: Vec<String> = files
        .iter()
        .filter(|path| path.is_file() && is_archive(path))
        .filter_map(|path| path.file_name())
        .map(printable)
        .collect();
    archives.sort_unstable();
    if !archives.is_empty() {
        let what = if archives.len() == 1 { "an archive is not unpacked" } else { "archives are not unpacked" };
        notes.insert(0, format!("{what}: {}", listed(&archives)));
    }
    notes
}

fn cifar(dir: &Path, archive: &'static Archive, datasets: &[DatasetName]) -> Vec<Finding> {
    let check = |(folder, layout): (PathBuf, &'static _)| {
        let Layout { form, expected, .. } = *layout;
        let name = if form == Form::Binary { "binary version" } else { "python version" };
        let mut finding = Finding::new(datasets, name, folder.clone());
        let mut labels = Vec::new();
        // One file at a time: they are large, and the pixels are not needed.
        for (path, images) in layout.files(&folder) {
            let read = if path.is_file() {
                archive.read(layout, &path, images).map(|mut part| part.labels.pop().unwrap_or_default())
            } else {
                Err(vec![DataError::MissingFile { path, expected }])
            };
            labels.push(finding.take(read).unwrap_or_default());
        }
        let test = labels.pop().unwrap_or_default();
        finding.splits.push(SplitSummary::of("train", labels.into_iter().flatten()));
        finding.splits.push(SplitSummary::of("test", test.into_iter()));
        if datasets.contains(&DatasetName::Cifar100) {
            let lists =
                [("fine_label_names", &cifar100::FINE_NAMES[..]), ("coarse_label_names", &cifar100::COARSE_NAMES)];
            for (list, known) in lists {
                finding.take(cifar100::names(&folder, form, list, known).map_err(|error| vec![error]));
            }
        }
        finding.complete = Some(finding.is_sound());
        finding
    };
    archive.find(dir).into_iter().map(check).collect()
}

fn stl10(folder: PathBuf) -> Finding {
    let mut finding = Finding::new(&[DatasetName::Stl10], "binary version", folder.clone());
    let one = |error| vec![error];
    finding.take(stl10::class_names(&folder).map_err(one));
    for (split, images) in [("train", stl10::TRAIN), ("test", stl10::TEST)] {
        let pixels = finding.take(stl10::open_pixels(&folder, split, images).map_err(one));
        let labels = finding.take(stl10::read_labels(&folder, split, images));
        if let (Some(_), Some(labels)) = (pixels, labels) {
            finding.splits.push(SplitSummary::of(split, labels.into_iter()));
        }
    }
    let unlabeled = folder.join(stl10::UNLABELED_FILE);
    if !unlabeled.exists() {
        finding.notes.push(stl10::NO_UNLABELED.to_owned());
    } else if finding.take(stl10::open_pixels(&folder, "unlabeled", stl10::UNLABELED).map_err(one)).is_some() {
        finding.splits.push(SplitSummary::unlabeled("unlabeled", stl10::UNLABELED));
    }
    finding.complete = Some(finding.splits.len() == 3 && finding.is_sound());
    finding
}

/// The folder of tiny-ImageNet, if its name or a file shows that it is not just an image folder.
fn tiny_images(dir: &Path) -> Option<PathBuf> {
    let signs = ["wnids.txt", "words.txt", "val/val_annotations.txt"];
    tiny::find(dir).filter(|root| root.ends_with(tiny::FOLDER) || signs.iter().any(|sign| root.join(sign).is_file()))
}

fn tiny_imagenet(root: PathBuf, options: &CheckOptions) -> Finding {
    let catalog = tiny::catalog(root.clone());
    let (classes, train, test) = tiny::WHOLE;
    let complete = (catalog.class_names.len(), catalog.train.len(), catalog.test.len())
        == (classes, classes * train, classes * test);
    let mut finding =
        image_files(Finding::new(&[DatasetName::Tiny], "image files", root), catalog, Some(tiny::SIDE), options);
    finding.complete = Some(complete && finding.is_sound());
    finding
}

/// The folder of SlimageNet64. Only its name distinguishes it from other image folders.
fn slim_images(dir: &Path) -> Option<PathBuf> {
    Some(slim::find(dir)).filter(|root| root.file_name().is_some_and(|name| name == slim::FOLDER))
}

fn slim(root: PathBuf, options: &CheckOptions) -> Finding {
    let catalog = class_folders::catalog(root.clone(), None);
    let (classes, images) = slim::WHOLE;
    let complete = catalog.class_names.len() == classes && catalog.train.len() + catalog.test.len() == classes * images;
    let finding = Finding::new(&[DatasetName::Slim], "image files", root.clone());
    if catalog.train.is_empty() && catalog.problems.is_empty() {
        let mut finding = finding;
        let problem = "there are no images".to_owned();
        finding.add([DataError::Layout { path: root, problem, expected: "train/CLASS/ and test/CLASS/ with images" }]);
        finding.complete = Some(false);
        return finding;
    }
    let mut finding = image_files(finding, catalog, Some(folder::SIDE), options);
    // With the official `val`, the two splits do not contain all images.
    let has_val = finding.dir.join("val").is_dir();
    finding.complete = (complete || !has_val).then_some(complete && finding.is_sound());
    finding
}

//! The image files of a dataset: which there are, and what belongs to what.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Extensions of image files, in lower case.
const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// What a dataset of image files is made of.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// The dataset's folder; names of files count from there.
    pub root: PathBuf,
    pub class_names: Vec<String>,
    pub train: Vec<Entry>,
    pub test: Vec<Entry>,
    /// What is wrong. Then the rest is only what could be found in spite of it.
    pub problems: Vec<DataError>,
    /// What somebody who looks at the dataset may want to know.
    pub notes: Vec<String>,
}

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path from the root, with `/` between its parts.
    pub name: String,
    pub label: u16,
}

/// What is in a folder, sorted by name; hidden things and other files are left out.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub folders: Vec<String>,
    pub images: Vec<String>,
}

impl Listing {
    /// Looks into a folder; what is wrong in it goes to `problems`.
    pub fn of(dir: &Path, problems: &mut Vec<DataError>) -> Self {
        let mut listing = Self::default();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(source) => {
                problems.push(DataError::Read { path: dir.to_path_buf(), source });
                return listing;
            }
        };
        for entry in entries {
            let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok(entry) => entry,
                Err(source) => {
                    problems.push(DataError::Read { path: dir.to_path_buf(), source });
                    break;
                }
            };
            let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
                || !(is_dir || is_image(&path))
            {
                continue;
            }
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                let problem = "its name is not in UTF-8".to_owned();
                problems.push(DataError::Layout { path, problem, expected: "another name: rename it" });
                continue;
            };
            if is_dir && kind.is_symlink() && contains(&path, dir) {
                let problem = "a link to a folder that it lies in".to_owned();
                problems.push(DataError::Layout { path, problem, expected: "a folder of its own: remove the link" });
            } else if is_dir {
                listing.folders.push(name);
            } else {
                listing.images.push(name);
            }
        }
        listing.folders.sort_unstable();
        listing.images.sort_unstable();
        listing
    }
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Whether `link` leads to `dir` or a folder that holds it.
fn contains(link: &Path, dir: &Path) -> bool {
    match (link.canonicalize(), dir.canonicalize()) {
        (Ok(link), Ok(dir)) => dir.starts_with(link),
        _ => false,
    }
}

/// All images in a folder and the folders in it, sorted, as paths from `root`.
pub(crate) fn images_below(root: &Path, folder: &str, problems: &mut Vec<DataError>) -> Vec<String> {
    let mut images = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = Listing::of(&root.join(&folder), problems);
        images.extend(listing.images.iter().map(|image| format!("{folder}/{image}")));
        folders.extend(listing.folders.iter().map(|inner| format!("{folder}/{inner}")));
    }
    images.sort_unstable();
    images
}

impl Catalog {
    pub fn of(root: PathBuf) -> Self {
        Self { root, ..Self::default() }
    }

    /// The label of the class at this place of the list of classes.
    pub fn label(&mut self, class: usize) -> u16 {
        class.try_into().unwrap_or_else(|_| {
            if class == usize::from(u16::MAX) + 1 {
                let problem = "it has more than 65536 classes".to_owned();
                self.problem(self.root.clone(), problem, "fewer class folders");
            }
            0
        })
    }

    pub fn problem(&mut self, path: PathBuf, problem: String, expected: &'static str) {
        self.problems.push(DataError::Layout { path, problem, expected });
    }
}

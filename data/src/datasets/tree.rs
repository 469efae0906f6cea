//! The tree of folders and files of a dataset on disk.
//!
//! Hidden files and folders and those that operating systems create do not count. Links are followed, unless they lead to a
//! folder that already counts: one in the tree, or one that another link leads to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use crate::decoding::{FileKind, kind_of};
use crate::error::{DataError, listed};

/// Folders that operating systems and file servers create.
const JUNK: [&str; 5] = ["__MACOSX", "lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information"];

/// The content of a folder, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub name: String,
    /// Path relative to the root, with `/` as the separator; empty for the root.
    pub path: String,
    pub folders: Vec<Folder>,
    /// Paths of the image files, relative to the root.
    pub images: Vec<String>,
    /// Paths of images in formats that are not read.
    pub other_images: Vec<String>,
    /// Paths of files that are not images.
    pub other_files: Vec<String>,
    /// One sentence for each link that is not followed, with the reason.
    pub links: Vec<String>,
    /// Folders that cannot be read, and names that are not UTF-8.
    pub problems: Vec<DataError>,
    /// Number of images in this folder and below.
    pub count: usize,
}

impl Folder {
    /// Scans a folder and everything below.
    pub fn scan(root: &Path) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Scan { root, real, followed: BTreeMap::new() }.folder(String::new(), String::new())
    }

    /// Scans the folder at `path` in `root` and everything below. All paths are relative to `root`.
    pub fn scan_part(root: &Path, path: &str) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        Scan { root, real, followed: BTreeMap::new() }.folder(name, path.to_owned())
    }

    /// The folder at a path below this one.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |folder, name| folder.folders.iter().find(|inner| inner.name == name))
    }

    /// The folders directly in this one that contain images, at any depth.
    pub fn with_images(&self) -> impl Iterator<Item = &Self> {
        self.folders.iter().filter(|folder| folder.count > 0)
    }

    /// Whether any folder in this one contains images: then these are classes or splits.
    pub fn has_folders(&self) -> bool {
        self.with_images().next().is_some()
    }

    /// This folder and all folders below.
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut place = 0;
        while let Some(folder) = all.get(place).copied() {
            all.extend(&folder.folders);
            place += 1;
        }
        all
    }

    /// Whether `other` is this folder or below it.
    pub fn holds(&self, other: &Self) -> bool {
        self.path.is_empty()
            || other.path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// All images in this folder and below, sorted by path.
    pub fn all_images(&self) -> Vec<String> {
        let mut images: Vec<String> = self.all().iter().flat_map(|folder| &folder.images).cloned().collect();
        images.sort_unstable();
        images
    }

    /// Removes and returns the problems of this folder and all below.
    pub fn take_problems(&mut self) -> Vec<DataError> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.folders.iter_mut().flat_map(Self::take_problems));
        problems
    }

    /// Its name in messages.
    pub fn shown(&self) -> String {
        if self.path.is_empty() { "the folder".into() } else { format!("{}/", printable(&self.path)) }
    }
}

/// The names of folders in messages.
pub(crate) fn shown(folders: &[&Folder]) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.shown()).collect();
    listed(&names)
}

struct Scan<'a> {
    root: &'a Path,
    /// The canonical path of the root.
    real: PathBuf,
    /// The canonical targets of the links that are followed, and the links.
    followed: BTreeMap<PathBuf, String>,
}

impl Scan<'_> {
    fn folder(&mut self, name: String, path: String) -> Folder {
        let mut folder = Folder { name, path, ..Folder::default() };
        let dir = self.root.join(&folder.path);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(source) => {
                folder.problems.push(DataError::Read { path: dir, source });
                return folder;
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                Ok(entry) => names.push(entry),
                Err(source) => {
                    folder.problems.push(DataError::Read { path: dir.clone(), source });
                    break;
                }
            }
        }
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in names {
            let path = dir.join(&name);
            let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            let name = match name.into_string() {
                Ok(name) => name,
                Err(name) => {
                    let lossy = name.to_string_lossy();
                    if !lossy.starts_with('.') && (is_dir || kind_of(&lossy) == FileKind::Image) {
                        let problem = "its name is not in UTF-8".to_owned();
                        folder.problems.push(DataError::Layout { path, problem, expected: "another name: rename it" });
                    }
                    continue;
                }
            };
            if name.starts_with('.') || (is_dir && JUNK.contains(&name.as_str())) {
                continue;
            }
            let inner = if folder.path.is_empty() { name.clone() } else { format!("{}/{name}", folder.path) };
            if kind.is_symlink() && fs::metadata(&path).is_err() && kind_of(&name) != FileKind::Image {
                folder.links.push(format!("{} is a link that leads nowhere", printable(&inner)));
            } else if !is_dir {
                match kind_of(&name) {
                    FileKind::Image => folder.images.push(inner),
                    FileKind::OtherImage => folder.other_images.push(inner),
                    FileKind::Other => folder.other_files.push(inner),
                    FileKind::Junk => {}
                }
            } else if let Some(reason) = kind.is_symlink().then(|| self.leads_back(&path, &printable(&inner))).flatten()
            {
                folder.links.push(reason);
            } else {
                folder.folders.push(self.folder(name, inner));
            }
        }
        folder.count = folder.images.len() + folder.folders.iter().map(|inner| inner.count).sum::<usize>();
        folder
    }

    /// The reason why a link to a folder is not followed. `None` if it is followed; then no other link to its target is.
    fn leads_back(&mut self, link: &Path, shown: &str) -> Option<String> {
        let target = link.canonicalize().ok()?;
        if self.real.starts_with(&target) {
            return Some(format!("{shown} is a link to a folder that holds it and is not followed"));
        }
        if let Ok(inside) = target.strip_prefix(&self.real) {
            let counted = inside.components().all(|part| {
                let name = part.as_os_str().to_string_lossy();
                !name.starts_with('.') && !JUNK.contains(&&*name)
            });
            if counted {
                let inside = printable(inside);
                return Some(format!("{shown} is a link to {inside}, whose images count there, and is not followed"));
            }
        }
        let met = self.followed.iter().find(|(other, _)| target.starts_with(other) || other.starts_with(&target));
        if let Some((_, other)) = met {
            return Some(format!("{shown} is a link to where {other} leads, too, and is not followed"));
        }
        self.followed.insert(target, shown.to_owned());
        None
    }
}

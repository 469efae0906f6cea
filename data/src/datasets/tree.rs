//! The folders and files of a dataset, as they are on disk.
//!
//! Hidden things and what systems leave behind do not count. Links are followed unless they lead back: to a folder that is
//! counted where it is, or to one that another link leads to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::decoding::{FileKind, kind_of};
use crate::error::{DataError, listed};

/// Folders that systems make.
const JUNK: [&str; 5] = ["__MACOSX", "lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information"];

/// What is in a folder, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub name: String,
    /// Path from the root, with `/` between its parts; nothing for the root.
    pub path: String,
    pub folders: Vec<Folder>,
    /// Paths of the image files from the root.
    pub images: Vec<String>,
    /// Paths of images in formats that are not read.
    pub other_images: Vec<String>,
    /// Paths of files that are no images.
    pub other_files: Vec<String>,
    /// Links that are not followed, and why.
    pub links: Vec<String>,
    /// What could not be read, or named.
    pub problems: Vec<DataError>,
    /// Images in here and below.
    pub count: usize,
}

impl Folder {
    /// Looks at everything below a folder.
    pub fn scan(root: &Path) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Scan { root, real, followed: BTreeMap::new() }.folder(String::new(), String::new())
    }

    /// The folder at a path below this one.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |folder, name| folder.folders.iter().find(|inner| inner.name == name))
    }

    /// The folders in it that have images.
    pub fn with_images(&self) -> impl Iterator<Item = &Self> {
        self.folders.iter().filter(|folder| folder.count > 0)
    }

    /// Whether folders in it have images: classes, or splits.
    pub fn has_folders(&self) -> bool {
        self.with_images().next().is_some()
    }

    /// This folder and all below.
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut place = 0;
        while let Some(folder) = all.get(place).copied() {
            all.extend(&folder.folders);
            place += 1;
        }
        all
    }

    /// Whether a folder is this one or below.
    pub fn holds(&self, other: &Self) -> bool {
        self.path.is_empty()
            || other.path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// All images in here and below, sorted by their path.
    pub fn all_images(&self) -> Vec<String> {
        let mut images: Vec<String> = self.all().iter().flat_map(|folder| &folder.images).cloned().collect();
        images.sort_unstable();
        images
    }

    /// Takes what could not be read out of here and below.
    pub fn take_problems(&mut self) -> Vec<DataError> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.folders.iter_mut().flat_map(Self::take_problems));
        problems
    }

    /// How it is called in messages.
    pub fn shown(&self) -> String {
        if self.path.is_empty() { "the folder".into() } else { format!("{}/", self.path) }
    }
}

/// How some folders are called in messages.
pub(crate) fn shown(folders: &[&Folder]) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.shown()).collect();
    listed(&names)
}

struct Scan<'a> {
    root: &'a Path,
    /// Where the root really is.
    real: PathBuf,
    /// Where links out of the root lead, and which they are.
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
                folder.links.push(format!("{inner} is a link that leads nowhere"));
            } else if !is_dir {
                match kind_of(&name) {
                    FileKind::Image => folder.images.push(inner),
                    FileKind::OtherImage => folder.other_images.push(inner),
                    FileKind::Other => folder.other_files.push(inner),
                    FileKind::Junk => {}
                }
            } else if let Some(reason) = kind.is_symlink().then(|| self.leads_back(&path, &inner)).flatten() {
                folder.links.push(reason);
            } else {
                folder.folders.push(self.folder(name, inner));
            }
        }
        folder.count = folder.images.len() + folder.folders.iter().map(|inner| inner.count).sum::<usize>();
        folder
    }

    /// Why a link to a folder is not followed; or it is, and no other will be that leads there.
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
                let inside = inside.display();
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

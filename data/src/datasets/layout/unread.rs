//! Test splits without a readable image.

use super::decision::{Doubt, Layout};
use crate::datasets::split_names::{Role, split_name};
use crate::datasets::tree::Folder;
use crate::error::counted;

const READABLE: &str = "jpg, png, bmp, webp, gif, tiff, ppm, qoi, tga or ico files: convert them, or move the folder away to have a part of the training images held out";

/// Refuses a test split whose images are all in unsupported formats: no other images may take its place. Notes test splits that are
/// empty.
pub(super) fn splits_without_images(
    root: &Folder,
    at: &Folder,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<(), Doubt> {
    let (found, labeled) = match layout {
        Layout::Splits { train, .. } => (*train, train.has_folders()),
        Layout::Classes { .. } => (at, true),
        Layout::Flat(_) | Layout::Empty => (at, false),
    };
    let has_test = matches!(layout, Layout::Splits { test: Some(_), .. });
    let in_classes = |folder: &Folder| match layout {
        Layout::Classes { classes, .. } => classes.iter().any(|class| class.holds(folder)),
        _ => found.holds(folder),
    };
    // The stems of the folders that contain the images: `seg` of `seg_train`.
    let stems: Vec<String> = found.path.split('/').filter_map(|name| Some(split_name(name)?.stem)).collect();
    for split in root.all() {
        let name = split_name(&split.name).filter(|name| name.stem.is_empty() || stems.contains(&name.stem));
        let is_test = name.is_some_and(|name| !matches!(name.role, Role::Train | Role::Unlabeled));
        if !is_test || split.count > 0 || in_classes(split) {
            continue;
        }
        let unread: usize = split.all().iter().map(|folder| folder.other_images.len()).sum();
        if unread > 0 && labeled && !has_test {
            let shown = split.shown();
            let problem =
                format!("{shown} has {} in formats that are not read, and none that are", counted(unread, "image"));
            return Err(Doubt { path: split.path.clone(), problem, expected: READABLE });
        }
        // Another note names an empty folder among classes.
        let among_classes = matches!(layout, Layout::Classes { .. }) && at.folders.iter().any(|f| f.path == split.path);
        if unread == 0 && !among_classes {
            notes.push(format!("{} has no images and does not count", split.shown()));
        }
    }
    Ok(())
}

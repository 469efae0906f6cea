//! From a tree of folders to splits and classes.

use super::candidates::{Candidate, candidates};
use super::conflicts::{alike, no_images_beside, not_splits_inside, twice};
use super::decision::{Decision, Doubt, Layout};
use super::splits::{among_others, as_splits};
use super::unread::splits_without_images;
use super::wrappers::inside_wrappers;
use crate::datasets::split_names::Role;
use crate::datasets::tree::Folder;

/// Decides which folders below `root` are splits and classes, by the rules of [this module](super).
pub(crate) fn decide(root: &Folder) -> Result<Decision<'_>, Doubt> {
    let mut notes = Vec::new();
    let at = inside_wrappers(root, &mut notes);
    let full: Vec<&Folder> = at.with_images().collect();
    if full.is_empty() {
        let layout = if at.images.is_empty() { Layout::Empty } else { Layout::Flat(at) };
        return Ok(Decision { at, layout, notes });
    }
    let (candidates, others) = candidates(&full);
    let (unlabeled, splits): (Vec<Candidate>, Vec<Candidate>) =
        candidates.into_iter().partition(|(_, role)| *role == Role::Unlabeled);
    if let [(first, _), (second, _), ..] = unlabeled[..] {
        return Err(twice(first, second, "images without labels"));
    }
    let unlabeled = unlabeled.first().map(|(folder, _)| *folder);
    let layout = match (splits.is_empty(), others.is_empty()) {
        (true, true) => Layout::Flat(unlabeled.unwrap_or(at)),
        (true, false) => {
            not_splits_inside(&others)?;
            notes.extend(alike(&others));
            no_images_beside(at)?;
            Layout::Classes { classes: others, unlabeled }
        }
        (false, true) => as_splits(at, &splits, unlabeled, &mut notes)?,
        (false, false) => among_others(at, splits, others, unlabeled, &mut notes)?,
    };
    if let (Some(folder), false) = (unlabeled, matches!(layout, Layout::Flat(_))) {
        let shown = folder.shown();
        notes.push(format!(
            "the images in {shown} have no labels: methods that learn without labels train on them, and not on those of the classes"
        ));
    }
    splits_without_images(root, at, &layout, &mut notes)?;
    Ok(Decision { at, layout, notes })
}

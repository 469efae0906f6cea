//! Folders that only wrap another folder.

use super::candidates::plain_role;
use crate::datasets::split_names::{Role, is_container, split_name};
use crate::datasets::tree::Folder;

/// The maximal depth of nested wrappers.
const DEEPEST: usize = 16;

/// The innermost wrapper, or `root` if there is none.
pub(super) fn inside_wrappers<'a>(root: &'a Folder, notes: &mut Vec<String>) -> &'a Folder {
    let mut at = root;
    for _ in 0..DEEPEST {
        let mut full = at.with_images();
        let (Some(inner), None, true) = (full.next(), full.next(), at.images.is_empty()) else { break };
        let is_split = plain_role(inner).is_some();
        if is_split || !(inner.images.is_empty() || is_container(&inner.name)) {
            break;
        }
        at = inner;
    }
    if at.path != root.path {
        notes.push(format!("all images are in {}, which is taken for the dataset's folder", at.shown()));
    }
    at
}

/// The innermost folder of a split that only wraps a folder of the same name, of the same role, or with a name that says nothing.
pub(super) fn inside(split: &Folder, role: Role) -> &Folder {
    let mut at = split;
    for _ in 0..DEEPEST {
        let mut full = at.with_images();
        let (Some(inner), None, true) = (full.next(), full.next(), at.images.is_empty()) else { break };
        let name = split_name(&inner.name);
        let same =
            inner.name == split.name || name.is_some_and(|name| name.role == role || name.role == Role::Unlabeled);
        let unknown = role != Role::Train && inner.name.eq_ignore_ascii_case("unknown");
        if !(same || unknown || is_container(&inner.name)) {
            break;
        }
        at = inner;
    }
    at
}

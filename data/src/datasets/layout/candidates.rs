//! Folders that are named like splits.

use crate::datasets::split_names::{Role, SplitName, split_name};
use crate::datasets::tree::Folder;

/// A folder that is named like a split, and the split.
pub(super) type Candidate<'a> = (&'a Folder, Role);

/// The split that a folder is named after, if its name contains no other words.
pub(super) fn plain_role(folder: &Folder) -> Option<Role> {
    split_name(&folder.name).filter(|name| name.stem.is_empty()).map(|name| name.role)
}

/// Divides folders into those that are named like splits of one dataset, and the others.
pub(super) fn candidates<'a>(full: &[&'a Folder]) -> (Vec<Candidate<'a>>, Vec<&'a Folder>) {
    let names: Vec<Option<SplitName>> = full.iter().map(|folder| split_name(&folder.name)).collect();
    let role_of =
        |stem: &str, place: usize| names[place].as_ref().filter(|name| name.stem == stem).map(|name| name.role);
    let divided = |stem: &str| {
        let mut found = (Vec::new(), Vec::new());
        for (place, folder) in full.iter().enumerate() {
            match role_of(stem, place) {
                Some(role) => found.0.push((*folder, role)),
                None => found.1.push(*folder),
            }
        }
        found
    };
    let plain = divided("");
    if plain.0.iter().any(|(_, role)| *role != Role::Unlabeled) {
        return plain;
    }
    let stems = names.iter().flatten().map(|name| name.stem.as_str()).filter(|stem| !stem.is_empty());
    let with_both = stems.map(divided).find(|(candidates, _)| {
        let has = |wanted: fn(Role) -> bool| candidates.iter().any(|(_, role)| wanted(*role));
        has(|role| role == Role::Train) && has(|role| role != Role::Train)
    });
    match with_both {
        Some((mut candidates, others)) => {
            candidates.extend(plain.0);
            let others =
                others.into_iter().filter(|other| !candidates.iter().any(|(folder, _)| folder.path == other.path));
            let others = others.collect();
            (candidates, others)
        }
        None => plain,
    }
}

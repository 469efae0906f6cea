//! Folders that are ambiguous: splits among classes, splits in classes, images beside class folders.

use qare_printable::printable;

use super::candidates::plain_role;
use super::decision::{Doubt, SPLITS};
use crate::datasets::split_names::{Role, split_name};
use crate::datasets::tree::{Folder, shown};

pub(super) fn no_images_beside(folder: &Folder) -> Result<(), Doubt> {
    let Some(first) = folder.images.first().filter(|_| folder.has_folders()) else { return Ok(()) };
    let problem = match folder.images.len() {
        1 => "an image beside class folders is of no class".to_owned(),
        count => format!("{count} images beside class folders are of no class, this one is the first"),
    };
    Err(Doubt { path: first.clone(), problem, expected: "images in the folder of their class" })
}

/// Refuses a split that contains splits, which would count as classes. A single folder that is named like a split and contains
/// images only is a class.
pub(super) fn no_splits_among_classes(split: &Folder) -> Result<(), Doubt> {
    let classes: Vec<&Folder> = split.with_images().collect();
    let splits: Vec<&Folder> = classes.iter().filter(|class| plain_role(class).is_some()).copied().collect();
    if splits.len() > 1 || splits.iter().any(|folder| folder.has_folders()) {
        let problem = format!(
            "it looks like a split, but {} in it like {}",
            shown(&splits),
            match splits.len() {
                1 => "another",
                _ => "splits of their own",
            }
        );
        return Err(Doubt { path: split.path.clone(), problem, expected: SPLITS });
    }
    not_splits_inside(&classes)
}

/// Refuses classes that contain splits, which would count as one.
pub(super) fn not_splits_inside(classes: &[&Folder]) -> Result<(), Doubt> {
    for class in classes {
        let mut splits: Vec<(&Folder, Role)> =
            class.with_images().filter_map(|inner| Some((inner, plain_role(inner)?))).collect();
        splits.dedup_by_key(|(_, role)| *role);
        if let [(first, _), (second, _), ..] = splits[..] {
            let problem =
                format!("it looks like a class, but {} and {} in it like splits", first.shown(), second.shown());
            return Err(Doubt { path: class.path.clone(), problem, expected: SPLITS });
        }
    }
    // Splits of different datasets: `mnist_train` and `fashion_test`.
    let roles: Vec<Role> = classes.iter().filter_map(|class| Some(split_name(&class.name)?.role)).collect();
    let both = roles.contains(&Role::Train) && roles.iter().any(|role| *role != Role::Train);
    if both && roles.len() == classes.len() && classes.iter().all(|class| class.images.is_empty()) {
        let problem = format!("{} hold folders and are named like splits, but not of one dataset", shown(classes));
        return Err(Doubt { path: classes[0].path.clone(), problem, expected: SPLITS });
    }
    // If all folders contain the same folders, and the name of one contains that of a split, they are splits.
    if let [first, rest @ ..] = classes
        && !rest.is_empty()
        && classes
            .iter()
            .any(|class| ["train", "test", "valid"].iter().any(|word| class.name.to_lowercase().contains(word)))
        && first.with_images().count() > 1
        && classes.iter().all(|class| class.images.is_empty() && names_in(class) == names_in(first))
    {
        let problem = format!("{} and {} hold the same folders: they look like splits", first.shown(), rest[0].shown());
        return Err(Doubt { path: first.path.clone(), problem, expected: SPLITS });
    }
    Ok(())
}

/// A note about classes that all contain the same folders: perhaps those are the classes.
pub(super) fn alike(classes: &[&Folder]) -> Option<String> {
    let [first, second, ..] = classes else { return None };
    let same = classes.iter().all(|class| class.images.is_empty() && names_in(class) == names_in(first));
    let inside = names_in(first);
    (same && inside.len() > 1).then(|| {
        format!(
            "{} and {} hold the same folders ({}): the outer ones are taken for the classes, and the inner ones are not distinguished",
            first.shown(),
            second.shown(),
            inside.iter().take(5).map(printable).collect::<Vec<_>>().join(", ")
        )
    })
}

pub(super) fn names_in(folder: &Folder) -> Vec<&str> {
    folder.with_images().map(|inner| inner.name.as_str()).collect()
}

pub(super) fn twice(first: &Folder, second: &Folder, what: &str) -> Doubt {
    let problem = format!("{} and {} both look like {what}", first.shown(), second.shown());
    Doubt { path: second.path.clone(), problem, expected: "one of them: rename or move the other" }
}

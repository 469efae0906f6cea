//! The roles of folders that are named like splits.

use super::candidates::Candidate;
use super::conflicts::{alike, no_images_beside, no_splits_among_classes, twice};
use super::decision::{Doubt, Layout, SPLITS};
use super::wrappers::inside;
use crate::datasets::split_names::{Role, split_name};
use crate::datasets::tree::{Folder, shown};
use crate::error::{counted, listed};

/// The layout if all folders are named like splits.
pub(super) fn as_splits<'a>(
    at: &'a Folder,
    splits: &[Candidate<'a>],
    unlabeled: Option<&'a Folder>,
    notes: &mut Vec<String>,
) -> Result<Layout<'a>, Doubt> {
    for (place, (folder, role)) in splits.iter().enumerate() {
        if let Some((other, _)) = splits[..place].iter().find(|(_, other)| other == role) {
            let what = if *role == Role::Train { "the training split" } else { "a split for tests" };
            return Err(twice(other, folder, what));
        }
    }
    let mut splits = splits.to_vec();
    splits.sort_by_key(|(_, role)| *role);
    let Some(((train, Role::Train), evaluations)) = splits.split_first() else {
        let names: Vec<String> = splits.iter().map(|(folder, _)| folder.shown()).collect();
        let problem = format!("there are images in {} but none in train/", names.join(" and "));
        return Err(Doubt { path: at.path.clone(), problem, expected: SPLITS });
    };
    let train = inside(train, Role::Train);
    if !at.images.is_empty() {
        notes.push(format!(
            "{} beside the splits, left out: {}",
            counted(at.images.len(), "image"),
            listed(&at.images)
        ));
    }
    no_images_beside(train)?;
    no_splits_among_classes(train)?;
    notes.extend(alike(&train.with_images().collect::<Vec<_>>()));
    let evaluations: Vec<Candidate> = evaluations.iter().map(|(folder, role)| (inside(folder, *role), *role)).collect();
    for (folder, _) in &evaluations {
        no_images_beside(folder)?;
        no_splits_among_classes(folder)?;
    }
    let test = evaluations.iter().find(|(folder, _)| folder.has_folders()).or(evaluations.first()).copied();
    if let Some((test, _)) = test.filter(|(test, _)| test.has_folders() && !train.has_folders()) {
        let (train, test) = (train.shown(), test.shown());
        let problem = format!("the images in {train} are in no class folders, but those in {test} are");
        return Err(Doubt { path: at.path.clone(), problem, expected: SPLITS });
    }
    notes.push(said_of(at, train, test, &evaluations));
    let test = test.map(|(test, _)| test);
    for (other, _) in evaluations.iter().filter(|(other, _)| test.is_some_and(|test| test.path != other.path)) {
        let why = if other.has_folders() { "is left out" } else { "has no class folders and is left out" };
        notes.push(format!("{} {why} ({})", other.shown(), counted(other.count, "image")));
    }
    Ok(Layout::Splits { train, test, unlabeled })
}

/// A note that says which folders serve as the training and the test split, and why.
pub(super) fn said_of(at: &Folder, train: &Folder, test: Option<Candidate>, evaluations: &[Candidate]) -> String {
    let train = train.shown();
    let Some((test, role)) = test else {
        return format!("{train} is the training split");
    };
    let shown = test.shown();
    if !test.has_folders() {
        return format!(
            "{train} is the training split; the images in {shown} have no labels: nothing can be tested on them"
        );
    }
    match (role, evaluations.first()) {
        (Role::Test, _) => format!("{train} is the training split and {shown} the test split"),
        (_, Some((first, Role::Test))) => format!(
            "{train} is the training split; {shown} serves as the test split, for the images in {} have no labels",
            first.shown()
        ),
        _ => {
            let is_test = |folder: &&Folder| split_name(&folder.name).is_some_and(|name| name.role == Role::Test);
            let why = match at.folders.iter().filter(|folder| folder.count == 0).find(is_test) {
                Some(empty) => format!("there are no images in {} that are read", empty.shown()),
                None => "there is no test folder".to_owned(),
            };
            format!("{train} is the training split; {shown} serves as the test split, for {why}")
        }
    }
}

/// The layout if some folders are named like splits, and others are not.
pub(super) fn among_others<'a>(
    at: &'a Folder,
    splits: Vec<Candidate<'a>>,
    others: Vec<&'a Folder>,
    unlabeled: Option<&'a Folder>,
    notes: &mut Vec<String>,
) -> Result<Layout<'a>, Doubt> {
    let any_classes = splits.iter().any(|(folder, _)| inside(folder, Role::Unlabeled).has_folders());
    let trains = splits.iter().any(|(_, role)| *role == Role::Train);
    let tests = splits.iter().any(|(_, role)| *role != Role::Train);
    if any_classes && trains && tests {
        let layout = as_splits(at, &splits, unlabeled, notes)?;
        let count = others.iter().map(|other| other.count).sum();
        notes.push(format!("{} in no split, left out: {}", counted(count, "image"), shown(&others)));
        return Ok(layout);
    }
    let flat = |folder: &Folder| !inside(folder, Role::Unlabeled).has_folders();
    if let [(folder, _)] = splits[..]
        && others.iter().chain([&folder]).all(|folder| flat(folder))
    {
        let mut classes = others;
        classes.push(folder);
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        no_images_beside(at)?;
        notes.push(format!(
            "{} is taken for a class: it has images only, as the folders beside it; a split would hold class folders",
            folder.shown()
        ));
        return Ok(Layout::Classes { classes, unlabeled });
    }
    let names: Vec<&Folder> = splits.iter().map(|(folder, _)| *folder).collect();
    let problem = format!(
        "{} named like {}, but the folders beside {} are not: {}",
        shown(&names) + if names.len() == 1 { " is" } else { " are" },
        if names.len() == 1 { "a split" } else { "splits" },
        if names.len() == 1 { "it" } else { "them" },
        shown(&others)
    );
    Err(Doubt { path: at.path.clone(), problem, expected: SPLITS })
}

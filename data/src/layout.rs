//! What the splits and classes of a folder of images are. This is the one place that decides it.
//!
//! 1. A folder that has no images itself and only one folder with images in it, which is no split, is a wrapper
//!    (`archive/train`, `images/train`): what is inside counts.
//! 2. Folders named like splits ([`crate::split_names`]: any usual word, in any case, with words such as `set` or `images`
//!    and numbers) are splits if nothing but splits is there, or if there are a training and a test or validation split and
//!    one of them holds class folders; then other folders are left out. Words beside that of the split have to be the same
//!    in all of them (`seg_train` and `seg_test`).
//! 3. One folder named like a split that holds images only, beside others that are named otherwise, is a class (the
//!    vehicle `train` beside `bus` and `car`), and a note says so.
//! 4. Anything else with names of splits in it is an error that says why: two folders for one split, a test split without a
//!    training split, splits among classes, splits inside of classes.
//! 5. A folder named `unlabeled` (`unlabelled`, `unsup`, `no_labels`) beside classes or splits is for training without
//!    labels.
//! 6. Without names of splits, the folders that have images are the classes; images in no folder have no labels.
//!
//! 7. A split for tests whose images are all in formats that are not read is an error where nothing else serves for tests.
//!
//! The test split is the first of test, evaluation and validation that has class folders; without any, the first that is
//! there, whose images have no labels. Every choice is said in a note.

use crate::error::{counted, listed};
use crate::split_names::{Role, SplitName, is_container, split_name};
use crate::tree::Folder;

/// How a folder is made up.
#[derive(Debug)]
pub(crate) enum Layout<'a> {
    Splits {
        train: &'a Folder,
        test: Option<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Class folders and no splits.
    Classes {
        classes: Vec<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Images without classes.
    Flat(&'a Folder),
    /// No images at all.
    Empty,
}

/// What is decided, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The folder that holds the splits or classes: the root, or what is in wrappers.
    pub at: &'a Folder,
    pub layout: Layout<'a>,
    pub notes: Vec<String>,
}

/// Why nothing can be decided: the folder, what is wrong and what is expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub path: String,
    pub problem: String,
    pub expected: &'static str,
}

const SPLITS: &str = "train/ and test/ (or val/) with the same class folders in them, or class folders alone: rename or move what is neither, or name the folder of the dataset itself";
const READABLE: &str = "jpg, png, bmp, webp, gif, tiff, ppm, qoi, tga or ico files: convert them, or move the folder away to have a part of the training images held out";
/// Wrappers in wrappers that are looked through.
const DEEPEST: usize = 16;

/// A folder whose name is that of a split.
type Candidate<'a> = (&'a Folder, Role);

/// Decides what the parts of a folder are.
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

/// Splits for tests that are there and have no images that are read: in the place of one, no other images serve.
fn splits_without_images(root: &Folder, at: &Folder, layout: &Layout, notes: &mut Vec<String>) -> Result<(), Doubt> {
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
    // The stems of the folders that the images are in: `seg` of seg_train.
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
            let problem = format!("{shown} has {} in formats that are not read, and none that are", images(unread));
            return Err(Doubt { path: split.path.clone(), problem, expected: READABLE });
        }
        // Of a folder among classes it is said anyway.
        let among_classes = matches!(layout, Layout::Classes { .. }) && at.folders.iter().any(|f| f.path == split.path);
        if unread == 0 && !among_classes {
            notes.push(format!("{} has no images and does not count", split.shown()));
        }
    }
    Ok(())
}

/// The split that a folder's name speaks of, and of nothing else.
fn plain_role(folder: &Folder) -> Option<Role> {
    split_name(&folder.name).filter(|name| name.stem.is_empty()).map(|name| name.role)
}

fn inside_wrappers<'a>(root: &'a Folder, notes: &mut Vec<String>) -> &'a Folder {
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
        notes.push(format!("all images are in {}: what is inside counts", at.shown()));
    }
    at
}

/// The folders that are named like splits, and the others.
fn candidates<'a>(full: &[&'a Folder]) -> (Vec<Candidate<'a>>, Vec<&'a Folder>) {
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

/// Nothing but splits is there.
fn as_splits<'a>(
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
        notes.push(format!("{} beside the splits, left out: {}", images(at.images.len()), listed(&at.images)));
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
        notes.push(format!("{} {why} ({})", other.shown(), images(other.count)));
    }
    Ok(Layout::Splits { train, test, unlabeled })
}

/// Which folders serve as training and test split, and why.
fn said_of(at: &Folder, train: &Folder, test: Option<Candidate>, evaluations: &[Candidate]) -> String {
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

/// Some folders are named like splits, and others are not.
fn among_others<'a>(
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
        notes.push(format!("{} in no split, left out: {}", images(count), shown(&others)));
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
        "{} named like {}, but beside {} what is not: {}",
        shown(&names) + if names.len() == 1 { " is" } else { " are" },
        if names.len() == 1 { "a split" } else { "splits" },
        if names.len() == 1 { "it is" } else { "them is" },
        shown(&others)
    );
    Err(Doubt { path: at.path.clone(), problem, expected: SPLITS })
}

/// What is inside of a split, if it holds a single folder that is named as it is, or as a mere container.
fn inside(split: &Folder, role: Role) -> &Folder {
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

fn no_images_beside(folder: &Folder) -> Result<(), Doubt> {
    let Some(first) = folder.images.first().filter(|_| folder.has_folders()) else { return Ok(()) };
    let problem = match folder.images.len() {
        1 => "an image beside class folders is of no class".to_owned(),
        count => format!("{count} images beside class folders are of no class, this one is the first"),
    };
    Err(Doubt { path: first.clone(), problem, expected: "images in the folder of their class" })
}

/// A split whose folders are splits themselves would have those counted as classes. One such folder that holds images only, as
/// a class would, is a class.
fn no_splits_among_classes(split: &Folder) -> Result<(), Doubt> {
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

/// Classes that hold splits themselves would have both counted as one.
fn not_splits_inside(classes: &[&Folder]) -> Result<(), Doubt> {
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
    // Splits of which one is called after something else: `mnist_train` and `fashion_test`.
    let roles: Vec<Role> = classes.iter().filter_map(|class| Some(split_name(&class.name)?.role)).collect();
    let both = roles.contains(&Role::Train) && roles.iter().any(|role| *role != Role::Train);
    if both && roles.len() == classes.len() && classes.iter().all(|class| class.images.is_empty()) {
        let problem = format!("{} hold folders and are named like splits, but not of one dataset", shown(classes));
        return Err(Doubt { path: classes[0].path.clone(), problem, expected: SPLITS });
    }
    // Folders that all hold the same folders are splits, whatever they are called, if one is called almost like one.
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

/// What is said of classes that all hold the same folders: perhaps those are the classes.
fn alike(classes: &[&Folder]) -> Option<String> {
    let [first, second, ..] = classes else { return None };
    let same = classes.iter().all(|class| class.images.is_empty() && names_in(class) == names_in(first));
    let inside = names_in(first);
    (same && inside.len() > 1).then(|| {
        format!(
            "{} and {} hold the same folders ({}): the outer ones are taken for the classes, the inner ones are not told apart",
            first.shown(),
            second.shown(),
            inside.iter().take(5).copied().collect::<Vec<_>>().join(", ")
        )
    })
}

fn names_in(folder: &Folder) -> Vec<&str> {
    folder.with_images().map(|inner| inner.name.as_str()).collect()
}

fn twice(first: &Folder, second: &Folder, what: &str) -> Doubt {
    let problem = format!("{} and {} both look like {what}", first.shown(), second.shown());
    Doubt { path: second.path.clone(), problem, expected: "one of them: rename or move the other" }
}

fn images(count: usize) -> String {
    counted(count, "image")
}

fn shown(folders: &[&Folder]) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.shown()).collect();
    listed(&names)
}

//! Recognises splits by the names of folders.
//!
//! A name is divided at everything that is not a letter and between a lower-case and an upper-case letter; each piece is divided
//! into known words. `Train`, `train_set`, `trainset`, `01-TrainImages`, `val2017` and `train_64x64` consist of words for one
//! split and of neutral words. The remaining words of a name are its stem: `seg` in `seg_train`.

/// The role of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Train,
    /// The first of this and the next two that exists serves as the test split.
    Test,
    Evaluation,
    Validation,
    Unlabeled,
}

/// A name that contains words for a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SplitName {
    pub role: Role,
    /// The words that are unknown, separated by spaces.
    pub stem: String,
}

const WORDS: [(&str, Role); 23] = [
    ("training", Role::Train),
    ("train", Role::Train),
    ("trn", Role::Train),
    ("labeled", Role::Train),
    ("labelled", Role::Train),
    ("testing", Role::Test),
    ("test", Role::Test),
    ("tst", Role::Test),
    ("evaluation", Role::Evaluation),
    ("eval", Role::Evaluation),
    ("holdout", Role::Evaluation),
    ("heldout", Role::Evaluation),
    ("validation", Role::Validation),
    ("valid", Role::Validation),
    ("val", Role::Validation),
    ("dev", Role::Validation),
    ("unlabeled", Role::Unlabeled),
    ("unlabelled", Role::Unlabeled),
    ("unsupervised", Role::Unlabeled),
    ("unsup", Role::Unlabeled),
    ("unannotated", Role::Unlabeled),
    ("nolabels", Role::Unlabeled),
    ("nolabel", Role::Unlabeled),
];

/// Neutral words. A word comes before its own prefixes.
const PLAIN: [&str; 46] = [
    "datasets",
    "dataset",
    "data",
    "subset",
    "sets",
    "set",
    "splits",
    "split",
    "images",
    "image",
    "imgs",
    "img",
    "pictures",
    "picture",
    "pics",
    "pic",
    "photos",
    "photo",
    "folder",
    "files",
    "file",
    "samples",
    "sample",
    "examples",
    "example",
    "partition",
    "original",
    "orig",
    "cropped",
    "resized",
    "clean",
    "final",
    "full",
    "all",
    "small",
    "large",
    "jpeg",
    "jpg",
    "png",
    "px",
    "ds",
    "x",
    "v",
    "cls",
    "classes",
    "frames",
];

/// The split that a name denotes, if it denotes exactly one. `trainval` is a training split.
pub(crate) fn split_name(name: &str) -> Option<SplitName> {
    let mut roles = Vec::new();
    let mut stem: Vec<String> = Vec::new();
    for word in words_of(name) {
        match taken_apart(&word) {
            Some(found) => roles.extend(found),
            None => stem.push(word),
        }
    }
    roles.sort_unstable();
    roles.dedup();
    let role = match roles[..] {
        [role] | [Role::Train, role @ Role::Unlabeled] | [role @ Role::Test, Role::Unlabeled] => role,
        [role @ Role::Train, Role::Validation] => role,
        _ => return None,
    };
    Some(SplitName { role, stem: stem.join(" ") })
}

/// Whether a name consists of neutral words only: `images`, `data`, `img_files`.
pub(crate) fn is_container(name: &str) -> bool {
    let words = words_of(name);
    !words.is_empty() && words.iter().all(|word| taken_apart(word).is_some_and(|roles| roles.is_empty()))
}

/// The words of a name, in lower case. Digits belong to no word.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let starts = before.is_lowercase() && letter.is_uppercase();
        if starts || !letter.is_alphabetic() {
            words.push(String::new());
        }
        if letter.is_alphabetic() {
            words.last_mut().expect("there is one").extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    for (first, second) in [("no", "label"), ("no", "labels"), ("hold", "out"), ("held", "out")] {
        if let Some(place) = words.windows(2).position(|pair| pair == [first, second]) {
            let second = words.remove(place + 1);
            words[place] += &second;
        }
    }
    words
}

/// The splits that a word denotes, if it consists of known words only.
fn taken_apart(word: &str) -> Option<Vec<Role>> {
    if word.is_empty() {
        return Some(Vec::new());
    }
    // One known word may be a prefix of another, as `test` of `testing`: try both.
    let split = WORDS.iter().filter_map(|(start, role)| Some((word.strip_prefix(start)?, Some(*role))));
    let plain = PLAIN.iter().filter_map(|start| Some((word.strip_prefix(start)?, None)));
    split.chain(plain).find_map(|(rest, role)| {
        let mut roles = taken_apart(rest)?;
        roles.extend(role);
        Some(roles)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Option<Role> {
        split_name(name).filter(|found| found.stem.is_empty()).map(|found| found.role)
    }

    #[test]
    fn usual_names_of_splits_in_any_form() {
        let names: [(Role, &[&str]); 5] = [
            (
                Role::Train,
                &[
                    "train",
                    "Train",
                    "TRAIN",
                    "training",
                    "Training",
                    "train_set",
                    "trainset",
                    "TrainSet",
                    "train-images",
                    "training_data",
                    "Training Set",
                    "train2017",
                    "01_train",
                    "1-Training",
                    "train_64x64",
                    "trainval",
                    "train_val",
                    "Train-v2",
                    "train.images",
                    "images_train",
                    "labeled",
                    "train_labeled",
                ],
            ),
            (
                Role::Test,
                &["test", "Test", "TESTING", "testset", "test_images", "test1", "Test Data", "test-unlabeled"],
            ),
            (Role::Evaluation, &["eval", "evaluation", "EvalSet", "holdout", "hold_out", "held-out-eval"]),
            (Role::Validation, &["val", "valid", "validation", "Val", "VALID", "dev", "devset", "val2017", "valset"]),
            (Role::Unlabeled, &["unlabeled", "unlabelled", "unsup", "train_unlabeled", "no_labels", "UnlabeledImages"]),
        ];
        for (expected, names) in names {
            for name in names {
                assert_eq!(role(name), Some(expected), "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "cat",
            "station",
            "contest",
            "latest",
            "valley",
            "trainer",
            "strain",
            "devil",
            "evaluate",
            "trains",
            "tested",
            "images",
            "data",
            "set",
            "0",
            "n01443537",
            "",
            "_",
            "train_test",
            "test_val",
            "vase",
            "travail",
            "setter",
        ] {
            assert_eq!(role(name), None, "{name}");
        }
    }

    #[test]
    fn what_else_is_in_a_name_is_its_stem() {
        let found = |name| split_name(name).map(|found| (found.role, found.stem));
        assert_eq!(found("seg_train"), Some((Role::Train, "seg".into())));
        assert_eq!(found("asl_alphabet_test"), Some((Role::Test, "asl alphabet".into())));
        assert_eq!(found("freight train"), Some((Role::Train, "freight".into())));
        assert_eq!(found("cat"), None);
    }

    #[test]
    fn containers_are_named_by_words_that_say_nothing() {
        for name in ["images", "Images", "img", "data", "image_data", "JPEGImages", "256x256"] {
            assert!(is_container(name) || name == "256x256" && is_container("256x256"), "{name}");
        }
        for name in ["cat", "train", "archive", "", "42"] {
            assert!(!is_container(name), "{name}");
        }
    }
}

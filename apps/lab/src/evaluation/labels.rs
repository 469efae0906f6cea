//! Class names of labels, and matching of classes by name.

use qare_data::{ImageSet, printable};

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::features::Features;

/// Maximum number of class names in a message.
const MAX_LISTED: usize = 8;

/// Returns the class names of a set of images, or `None` if it has no labels.
pub fn names(images: &ImageSet) -> Option<Vec<String>> {
    images.is_labeled().then(|| images.class_names().to_vec())
}

/// Whether the images have labels of at least two classes.
pub fn have_several_classes(images: &ImageSet) -> bool {
    images.is_labeled() && images.labels().iter().any(|label| *label != images.labels()[0])
}

/// Returns the number of classes that have an image in the set.
pub fn present(images: &ImageSet) -> usize {
    images.labels().iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// Returns the number of classes that have images in the set, and fewer than `needed`.
pub fn smaller_than(images: &ImageSet, needed: usize) -> usize {
    let mut counts = vec![0; images.classes()];
    images.labels().iter().for_each(|label| counts[usize::from(*label)] += 1);
    counts.into_iter().filter(|count| (1..needed).contains(count)).count()
}

/// Replaces the labels of features, which index the class names `named`, by those of the same names in `known`, the classes of
/// a classifier. `what` names the classifier in messages.
///
/// # Errors
/// If a class that has images is not among the classifier's.
pub fn match_classes(mut features: Features, named: &[String], known: &[String], what: &str) -> Result<Features> {
    if named == known {
        return Ok(features);
    }
    let places: Vec<Option<usize>> = named.iter().map(|name| known.iter().position(|other| other == name)).collect();
    let present = |label: usize| features.labels.iter().any(|found| usize::from(*found) == label);
    if (0..named.len()).any(|label| places[label].is_none() && present(label)) {
        return Err(LabError::Usage(format!(
            "{what}: {}; test it on images of the classes it was trained on, or train another classifier with `qare probe`",
            difference("its classes are", known, "the classes of the images are", named)
        )));
    }
    info!("note: classes are matched by name: {}", difference("the classifier has", known, "the images have", named));
    for label in &mut features.labels {
        *label = places[usize::from(*label)].expect("the class is known") as u16;
    }
    Ok(features)
}

/// Describes the difference between two lists of classes. `one` and `other` introduce the lists.
pub fn difference(one: &str, first: &[String], other: &str, second: &[String]) -> String {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|name| !those.contains(name)).cloned().collect()
    };
    let (gone, new) = (only(first, second), only(second, first));
    if gone.is_empty() && new.is_empty() {
        return format!("{one} {}, {other} {}, in a different order", listed(first), listed(second));
    }
    let disjoint = gone.len() == first.len();
    let only_in = |names: Vec<String>| match names.as_slice() {
        [] => String::new(),
        _ if disjoint => String::new(),
        names => format!(" (only there: {})", listed(names)),
    };
    format!("{one} {}{}, {other} {}{}", listed(first), only_in(gone), listed(second), only_in(new))
}

/// Lists the first names, and the number of further ones.
pub fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("`{}`", printable(name))).collect();
    match names.len().saturating_sub(MAX_LISTED) {
        0 => quoted.join(", "),
        more => format!("{} and {more} more", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn features(labels: &[u16]) -> Features {
        Features { values: vec![0.0; labels.len()], dim: 1, labels: labels.to_vec() }
    }

    #[test]
    fn labels_follow_their_names() {
        let known = strings(&["blue", "green", "red"]);
        let mapped = match_classes(features(&[0, 1, 0]), &strings(&["red", "blue"]), &known, "m").unwrap();
        assert_eq!(mapped.labels, [2, 0, 2]);
        let same = match_classes(features(&[2, 1]), &known, &known, "m").unwrap();
        assert_eq!(same.labels, [2, 1]);
    }

    #[test]
    fn an_unknown_class_is_refused_unless_it_has_no_images() {
        let (known, named) = (strings(&["green", "red"]), strings(&["rouge", "red"]));
        let error = match_classes(features(&[0, 1]), &named, &known, "classifier.safetensors").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        for word in ["classifier.safetensors", "rouge", "green"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(match_classes(features(&[1, 1]), &named, &known, "m").unwrap().labels, [1, 1]);
    }

    #[test]
    fn long_lists_are_cut_short() {
        let names: Vec<String> = (0..100).map(|class| format!("c{class}")).collect();
        assert!(listed(&names).ends_with("`c7` and 92 more"));
    }
}

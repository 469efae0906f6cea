//! Labels by name: numbers mean nothing without the classes they stand for.

use qare_data::ImageSet;

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::features::Features;

/// Class names that a message spells out.
const NAMED: usize = 8;

/// The names of a set's labels, if it has labels.
pub fn names(images: &ImageSet) -> Option<Vec<String>> {
    images.is_labeled().then(|| images.class_names().to_vec())
}

/// Whether labels tell these images apart: there are some, and of more than one class.
pub fn tell_apart(images: &ImageSet) -> bool {
    images.is_labeled() && images.labels().iter().any(|label| *label != images.labels()[0])
}

/// How many classes have an image in a set.
pub fn present(images: &ImageSet) -> usize {
    images.labels().iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// Gives the labels of features the numbers that a classifier knows their classes by.
///
/// # Errors
/// If a class is not one of the classifier's.
pub fn as_known(mut features: Features, named: &[String], known: &[String], what: &str) -> Result<Features> {
    if named == known {
        return Ok(features);
    }
    let places: Vec<Option<usize>> = named.iter().map(|name| known.iter().position(|other| other == name)).collect();
    let present = |label: usize| features.labels.iter().any(|found| usize::from(*found) == label);
    if (0..named.len()).any(|label| places[label].is_none() && present(label)) {
        return Err(LabError::Usage(format!(
            "{what}: {}; test it on images of the classes it was trained on, or train another with `qare probe`",
            difference("its classes are", known, "those of the images are", named)
        )));
    }
    info!("note: classes are matched by name: {}", difference("the classifier has", known, "the images have", named));
    for label in &mut features.labels {
        *label = places[usize::from(*label)].expect("its class is known") as u16;
    }
    Ok(features)
}

/// How two lists of classes differ, in words.
pub fn difference(one: &str, first: &[String], other: &str, second: &[String]) -> String {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|name| !those.contains(name)).cloned().collect()
    };
    let (gone, new) = (only(first, second), only(second, first));
    if gone.is_empty() && new.is_empty() {
        return format!("{one} {}, {other} {}, in another order", listed(first), listed(second));
    }
    let nothing_shared = gone.len() == first.len();
    let besides = |names: Vec<String>| match names.as_slice() {
        [] => String::new(),
        _ if nothing_shared => String::new(),
        names => format!(" (only there: {})", listed(names)),
    };
    format!("{one} {}{}, {other} {}{}", listed(first), besides(gone), listed(second), besides(new))
}

/// The first names of a list, and how many more there are.
pub fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(NAMED) {
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
        let mapped = as_known(features(&[0, 1, 0]), &strings(&["red", "blue"]), &known, "m").unwrap();
        assert_eq!(mapped.labels, [2, 0, 2]);
        let same = as_known(features(&[2, 1]), &known, &known, "m").unwrap();
        assert_eq!(same.labels, [2, 1]);
    }

    #[test]
    fn a_class_that_is_not_known_is_refused_unless_it_has_no_images() {
        let (known, named) = (strings(&["green", "red"]), strings(&["rouge", "red"]));
        let error = as_known(features(&[0, 1]), &named, &known, "classifier.safetensors").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        for word in ["classifier.safetensors", "rouge", "green"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(as_known(features(&[1, 1]), &named, &known, "m").unwrap().labels, [1, 1]);
    }

    #[test]
    fn long_lists_are_cut_short() {
        let names: Vec<String> = (0..100).map(|class| format!("c{class}")).collect();
        assert!(listed(&names).ends_with("`c7` and 92 more"));
    }
}

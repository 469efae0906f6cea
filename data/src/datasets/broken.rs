//! Messages about broken images.

use std::collections::BTreeSet;
use std::path::PathBuf;

use qare_printable::printable;

use super::catalog::Catalog;
use crate::error::{DataError, broken_list, counted};

/// Number of broken images that an error names.
const NAMED: usize = 10;
/// Number of broken images that a note names.
const NAMED_LEFT_OUT: usize = 5;

/// The error if all training images are broken.
pub(crate) fn nothing_left(catalog: &Catalog, broken: &[DataError]) -> DataError {
    let count = counted(catalog.train.len(), "training image");
    let first = first_of(broken, 1)
        .0
        .into_iter()
        .map(|(path, problem)| format!(", the first of them {}: {problem}", printable(&path)));
    let problem = format!("all {count} are broken{}", first.collect::<String>());
    DataError::Layout { path: catalog.root.clone(), problem, expected: "images that can be decoded" }
}

/// Notes about classes whose training images are all broken, and about a test split whose images are all broken. `train` has the
/// labels of the sound training images, `test` is the number of sound test images.
pub(crate) fn emptied(catalog: &Catalog, train: &[u16], test: usize) -> Vec<String> {
    let before: BTreeSet<u16> = catalog.train.iter().map(|entry| entry.label).collect();
    let after: BTreeSet<u16> = train.iter().copied().collect();
    let lost = before.difference(&after).filter_map(|label| catalog.class_names.get(usize::from(*label)));
    let classes = lost.map(|name| format!("all training images of class {} are broken", printable(name)));
    let tests = (test == 0 && !catalog.test.is_empty()).then(|| "all test images are broken".to_owned());
    classes.chain(tests).collect()
}

/// The note about broken images that are skipped.
pub(crate) fn left_out(broken: &[DataError]) -> String {
    let (first, more) = first_of(broken, NAMED_LEFT_OUT);
    format!("{} left out:{}", counted(broken.len(), "broken image"), broken_list(&first, more))
}

/// One error for all broken images, which names the first few.
pub(crate) fn together(mut problems: Vec<DataError>) -> DataError {
    if problems.len() == 1 {
        return problems.remove(0);
    }
    let (first, more) = first_of(&problems, NAMED);
    DataError::BadImages { first, more }
}

/// The first `count` broken images with their problems, and the number of further ones.
fn first_of(problems: &[DataError], count: usize) -> (Vec<(PathBuf, String)>, usize) {
    let told = problems.iter().filter_map(|problem| match problem {
        DataError::BadImage { path, problem } => Some((path.clone(), problem.clone())),
        _ => None,
    });
    (told.take(count).collect(), problems.len().saturating_sub(count))
}

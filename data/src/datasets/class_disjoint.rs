//! Splits of disjoint classes: the test split has the classes that training has not.

use std::collections::BTreeMap;

use super::catalog::{Catalog, Entry};
use crate::error::{counted, listed};

/// The images of each class of a split, by the name of the class.
pub(super) type Classes = BTreeMap<String, Vec<Entry>>;

/// Sets the two splits of a catalog. Each has class names of its own, sorted, and labels that count from 0; the labels of the given
/// entries are replaced.
pub(super) fn set(catalog: &mut Catalog, train: Classes, test: Classes) {
    catalog.class_names = train.keys().cloned().collect();
    catalog.test_class_names = Some(test.keys().cloned().collect());
    catalog.train = labelled(catalog, train);
    catalog.test = labelled(catalog, test);
}

fn labelled(catalog: &mut Catalog, classes: Classes) -> Vec<Entry> {
    let mut all = Vec::new();
    for (place, entries) in classes.into_values().enumerate() {
        let label = catalog.label(place);
        all.extend(entries.into_iter().map(|entry| Entry { label, ..entry }));
    }
    all
}

/// A note about the classes on either side.
pub(super) fn said_of(catalog: &Catalog) -> String {
    let (train, test) = (&catalog.class_names, catalog.test_class_names());
    format!(
        "training has {} ({}), and the test split has {} that training has not ({})",
        counted(train.len(), "class"),
        listed(train),
        counted(test.len(), "other class"),
        listed(test)
    )
}

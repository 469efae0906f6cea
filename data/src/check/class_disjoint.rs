//! Finds the datasets whose test split has classes of its own, and checks each of them.

use std::path::{Path, PathBuf};

use super::image_files::image_files;
use super::options::CheckOptions;
use super::report::Finding;
use crate::datasets::catalog::Catalog;
use crate::datasets::{DatasetName, cars196, cub200, cuhk03, market1501, omniglot, sop};

/// A catalog, and whether all of its dataset is there.
type Found = (DatasetName, Catalog, fn(&Catalog) -> bool);

/// The findings in a folder.
pub(super) fn class_disjoint(dir: &Path, options: &CheckOptions) -> Vec<Finding> {
    let people = people(dir);
    let found: Vec<Found> = omniglot::find(dir)
        .map(|parts| (DatasetName::Omniglot, omniglot::catalog(parts), omniglot::is_complete as fn(&Catalog) -> bool))
        .into_iter()
        .chain(cub200::find(dir).map(|root| (DatasetName::Cub200, cub200::catalog(root), cub200::is_complete as _)))
        .chain(named_cars(dir).map(|root| (DatasetName::Cars196, cars196::catalog(root), cars196::is_complete as _)))
        .chain(sop::find(dir).map(|root| (DatasetName::Sop, sop::catalog(root), sop::is_complete as _)))
        .chain(people)
        .collect();
    let finding = |(name, catalog, is_complete): Found| {
        let complete = is_complete(&catalog);
        let mut finding =
            image_files(Finding::new(&[name], "image files", catalog.root.clone()), catalog, None, options);
        finding.complete = Some(complete && finding.is_sound());
        finding
    };
    found.into_iter().map(finding).collect()
}

/// The folder of Stanford Cars. Only its name distinguishes it from other image folders.
fn named_cars(dir: &Path) -> Option<PathBuf> {
    Some(cars196::find(dir)).filter(|root| cars196::is_named(root))
}

/// Market-1501 and CUHK03, which have the same layout: the names of their folders tell which it is.
fn people(dir: &Path) -> Vec<Found> {
    let market = market1501::find(dir).filter(|root| !cuhk03::is_named(root));
    let cuhk03 = cuhk03::find(dir).into_iter().filter(|root| cuhk03::is_named(root));
    market
        .map(|root| {
            (DatasetName::Market1501, market1501::catalog(root), market1501::is_complete as fn(&Catalog) -> bool)
        })
        .into_iter()
        .chain(cuhk03.map(|root| (DatasetName::Cuhk03, cuhk03::catalog(root), cuhk03::is_complete as _)))
        .collect()
}

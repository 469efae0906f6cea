//! Stanford Online Products (Oh Song et al. 2016): 120,053 photographs of 22,634 products, from its folder
//! `Stanford_Online_Products/`.
//!
//! `Ebay_train.txt` and `Ebay_test.txt` list the images of the two splits, which have no product in common: a line of names, then for
//! each image its number, its product, the kind of the product, and its file. The class is the product, named `KIND/PRODUCT` after the
//! folder of its images, as in `bicycle_final/1`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Entry};
use super::class_disjoint::{self, Classes};
use super::list_file::List;
use super::options::LoadOptions;
use super::splits::Splits;
use super::tree::Folder;
use super::{folder, image_files, listed_images};
use crate::error::DataError;

/// The lists of the training and the test split.
const LISTS: [&str; 2] = ["Ebay_train.txt", "Ebay_test.txt"];
/// The first line of a list.
const HEADER: [&str; 4] = ["image_id", "class_id", "super_class_id", "path"];
/// Number of images of the complete training and test split.
const WHOLE: (usize, usize) = (59_551, 60_502);
const FOLDER: &str = "Stanford_Online_Products";
const ADVICE: &str =
    "download and unpack Stanford_Online_Products.zip from https://cvgl.stanford.edu/projects/lifted_struct/";
const BELONGS: &str = "Stanford Online Products is Ebay_train.txt, Ebay_test.txt and a folder for each kind of product";
const FORM: &str = "the numbers of an image, its product and its kind, and a file, below the line of names";

/// Loads Stanford Online Products from its folder `Stanford_Online_Products`, or the folder that contains it.
///
/// # Errors
/// If a list is missing or damaged, an image that it names is missing, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "sop", folder: FOLDER, advice: ADVICE })?;
    let root = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "sop",
        dir: dir.to_path_buf(),
        expected: "a folder Stanford_Online_Products with Ebay_train.txt and Ebay_test.txt",
        advice: ADVICE,
    })?;
    image_files::load("sop", catalog(root), options.image_size.unwrap_or(folder::SIDE), options)
}

/// The dataset's folder: `Stanford_Online_Products` in `dir`, or `dir` itself.
pub(crate) fn find(dir: &Path) -> Option<PathBuf> {
    let inside = dir.join(FOLDER);
    if inside.is_dir() {
        return Some(inside);
    }
    LISTS.iter().any(|list| dir.join(list).is_file()).then(|| dir.to_path_buf())
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    let mut catalog = Catalog::of(root);
    let mut tree = Folder::scan(&catalog.root);
    catalog.problems = tree.take_problems();
    // The split of each product: none may be in both.
    let mut products: BTreeMap<u64, usize> = BTreeMap::new();
    let mut splits = [Classes::new(), Classes::new()];
    for (split, name) in LISTS.into_iter().enumerate() {
        let list = List::<4>::read(&mut catalog, name, FORM, BELONGS);
        for line in list.lines.iter().filter(|line| line.number > 1 || line.fields != HEADER) {
            let Some(product) = list.number(&mut catalog, line, 1) else { continue };
            if *products.entry(product).or_insert(split) != split {
                list.bad(&mut catalog, line.number, format!("product {product} is in {} as well", LISTS[0]));
                continue;
            }
            let file = &line.fields[3];
            let kind = file.split('/').next().unwrap_or_default();
            let entry = Entry::new(file.clone(), 0);
            splits[split].entry(format!("{kind}/{product}")).or_default().push(entry);
        }
        if splits[split].is_empty() && catalog.problems.is_empty() {
            list.bad(&mut catalog, 0, "it lists no images".to_owned());
        }
    }
    let [train, test] = splits;
    class_disjoint::set(&mut catalog, train, test);
    if catalog.problems.is_empty() {
        listed_images::compare(&mut catalog, &tree, "a list of the dataset names it");
    }
    catalog.notes.insert(0, "Ebay_train.txt lists the training split, and Ebay_test.txt the test split".to_owned());
    catalog.note_left_out(&tree, |file| file.starts_with("Ebay_"));
    catalog
}

/// Whether these are all images of Stanford Online Products.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    (catalog.train.len(), catalog.test.len()) == WHOLE
}

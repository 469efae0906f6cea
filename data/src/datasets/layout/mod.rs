//! What the splits and classes of a folder of images are. This is the one place that decides it.
//!
//! 1. A folder that has no images itself and only one folder with images in it, which is no split, is a wrapper
//!    (`archive/train`, `images/train`): what is inside counts.
//! 2. Folders named like splits ([`crate::datasets::split_names`]: any usual word, in any case, with words such as `set` or `images`
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

mod candidates;
mod conflicts;
mod decide;
mod decision;
mod splits;
mod unread;
mod wrappers;

pub(crate) use decide::decide;
pub(crate) use decision::{Doubt, Layout};

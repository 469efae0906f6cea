//! Decides which folders are splits and which are classes. This is the only place that does.
//!
//! 1. A folder without images of its own that contains only one folder with images, which is no split, is a wrapper
//!    (`archive/train`, `images/train`): its content counts.
//! 2. Folders named like splits ([`split_names`](super::split_names): any usual word, in any case, with numbers and words such as
//!    `set` or `images`) are splits if there are no other folders, or if there are a training and a test or validation split
//!    and one of these contains class folders; then other folders are left out. Further words in the names must be the same
//!    for all splits (`seg_train` and `seg_test`).
//! 3. A single folder that is named like a split, contains images only, and lies beside folders with other names is a class
//!    (the vehicle `train` beside `bus` and `car`). A note says so.
//! 4. Everything else with names of splits is an error that says why: two folders for one split, a test split without a
//!    training split, splits among classes, splits in classes.
//! 5. A folder named `unlabeled` (`unlabelled`, `unsup`, `no_labels`) beside classes or splits is for self-supervised training.
//! 6. Without names of splits, the folders with images are the classes. Images that are in no folder have no labels.
//! 7. A test split whose images are all in unsupported formats is an error if no other folder serves as the test split.
//!
//! The test split is the first of test, evaluation and validation that has class folders; if none has, the first that exists,
//! whose images have no labels. A note states every choice.

mod candidates;
mod conflicts;
mod decide;
mod decision;
mod splits;
mod unread;
mod wrappers;

pub(crate) use decide::decide;
pub(crate) use decision::{Doubt, Layout};

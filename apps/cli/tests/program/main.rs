//! Tests that run the program as a user does, and check its files, messages and exit codes.

mod agreeing;
mod benching;
mod cifar10_files;
mod class_disjoint;
mod committed_recipes;
mod damaged_files;
mod datasets;
mod device_flag;
mod device_views;
mod diverging;
mod driving;
mod existing_runs;
mod exporting;
mod exporting_onnx;
mod flags;
mod foreign_weights;
mod full_disk;
mod half_precision;
mod images;
mod labels;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod launches;
mod locking;
mod logging;
mod methods;
mod metric_learning;
mod official_files;
mod precision;
mod pretraining;
mod probing;
mod recipes;
mod regression;
mod reidentification;
mod repeating;
mod reporting;
mod resuming;
mod retrieving;
mod runs;
mod several_devices;
mod showing;
mod sources;
#[cfg(unix)]
mod standstill;
mod sweeping;
mod terminals;
mod wrong_calls;

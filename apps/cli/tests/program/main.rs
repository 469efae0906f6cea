//! Tests that run the program itself, as a person would: its files, its messages, its exit codes.

mod agreeing;
mod benching;
mod cifar10_files;
mod committed_recipes;
mod damaged_files;
mod datasets;
mod device_flag;
mod diverging;
mod driving;
mod existing_runs;
mod exporting;
mod flags;
mod full_disk;
mod half_precision;
mod images;
mod labels;
mod locking;
mod methods;
mod official_files;
mod precision;
mod pretraining;
mod probing;
mod recipes;
mod repeating;
mod resuming;
mod several_devices;
#[cfg(unix)]
mod standstill;
mod sweeping;
mod terminals;
mod weights_of_others;
mod wrong_calls;

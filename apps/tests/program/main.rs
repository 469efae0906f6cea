//! Tests that run the program itself, as a person would: its files, its messages, its exit codes.

mod cifar10_files;
mod damaged_files;
mod diverging;
mod driving;
mod existing_runs;
mod flags;
mod full_disk;
mod pretraining;
mod probing;
mod recipes;
mod repeating;
mod resuming;
mod wrong_calls;

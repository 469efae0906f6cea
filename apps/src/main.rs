//! `qare`: contrastive training, linear probe and test, from images to an accuracy.

#[cfg(not(one_backend))]
compile_error!(
    "choose exactly one backend: flex (the default), ndarray, wgpu, vulkan, metal or cuda; \
     for one other than flex: cargo build --release --no-default-features --features BACKEND"
);

#[cfg(one_backend)]
mod backend;
#[cfg(one_backend)]
mod bench;
#[cfg(one_backend)]
mod checkpoint;
#[cfg(one_backend)]
mod cli;
#[cfg(one_backend)]
mod commands;
#[cfg(one_backend)]
mod dashboard;
#[cfg(one_backend)]
mod datasets;
#[cfg(one_backend)]
mod embed;
#[cfg(one_backend)]
mod error;
#[cfg(one_backend)]
mod evaluate;
#[cfg(one_backend)]
mod export;
#[cfg(one_backend)]
mod features;
#[cfg(one_backend)]
mod files;
#[cfg(one_backend)]
mod finetune;
#[cfg(one_backend)]
mod interrupt;
#[cfg(one_backend)]
mod knn;
#[cfg(one_backend)]
mod labels;
#[cfg(one_backend)]
mod list;
#[cfg(one_backend)]
mod loading;
#[cfg(one_backend)]
mod lock;
#[cfg(one_backend)]
mod log;
#[cfg(one_backend)]
mod loss_scale;
#[cfg(one_backend)]
mod methods;
#[cfg(one_backend)]
mod metrics;
#[cfg(one_backend)]
mod model;
#[cfg(one_backend)]
mod npy;
#[cfg(one_backend)]
mod optimizer;
#[cfg(one_backend)]
mod output;
#[cfg(one_backend)]
mod precision;
#[cfg(one_backend)]
mod pretrain;
#[cfg(one_backend)]
mod probe;
#[cfg(one_backend)]
mod progress;
#[cfg(one_backend)]
mod recipe;
#[cfg(one_backend)]
mod run_folder;
#[cfg(one_backend)]
mod run_record;
#[cfg(one_backend)]
mod schedule;
#[cfg(one_backend)]
mod softmax_regression;
#[cfg(one_backend)]
mod step;
#[cfg(one_backend)]
mod strategy;
#[cfg(one_backend)]
mod sweep;
#[cfg(one_backend)]
mod sweep_table;
#[cfg(one_backend)]
mod terminal;
#[cfg(one_backend)]
mod version;
#[cfg(one_backend)]
mod workers;

#[cfg(one_backend)]
fn main() -> std::process::ExitCode {
    backend::at_start();
    loading::quiet_decoders();
    let done = cli::Cli::read().and_then(|cli| match cli {
        // Help, or the version.
        None => output::delivered(),
        Some(cli) => {
            let only_prints = cli.command.only_prints();
            commands::execute(cli.command)?;
            match output::delivered() {
                Err(error) if !only_prints => {
                    output::complain(format!("note: {error}"));
                    Ok(())
                }
                delivered => delivered,
            }
        }
    });
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format!("error: {error}"));
            std::process::ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(not(one_backend))]
fn main() {}

//! The program `qare`: contrastive training, linear probe and test.

mod backend;
mod bench;
mod cli;
mod commands;
mod dashboard;
mod interrupt;
mod output;
mod progress;
mod terminal;

use std::process::ExitCode;

/// Aligns the arrays of the kernels for CPUs to lines of the cache.
#[cfg(any(feature = "flex", feature = "ndarray"))]
#[global_allocator]
static ALLOCATOR: qare_models::CacheAligned = qare_models::CacheAligned;

fn main() -> ExitCode {
    backend::init();
    output::init_log();
    silence_decoder_panics();
    let result = cli::Cli::read().and_then(|cli| match cli {
        // Help or the version, already printed.
        None => output::check_written(),
        Some(cli) => {
            let only_prints = cli.command.only_prints();
            commands::execute(cli.command)?;
            match output::check_written() {
                Err(error) if !only_prints => {
                    output::eprint_line(format!("note: {error}"));
                    Ok(())
                }
                result => result,
            }
        }
    });
    progress::clear();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::eprint_line(format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Silences the panic messages of image decoders: each of these panics becomes an error that names the file.
fn silence_decoder_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !qare_data::is_decoding() {
            report(panic);
        }
    }));
}

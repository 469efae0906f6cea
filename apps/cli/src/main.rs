//! `qare`: contrastive training, linear probe and test, from images to an accuracy.

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

fn main() -> ExitCode {
    backend::at_start();
    output::print_notes();
    quiet_decoders();
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
    progress::clear();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// From now on nothing is reported of panics that become errors of an image file.
fn quiet_decoders() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !qare_data::is_decoding() {
            report(panic);
        }
    }));
}

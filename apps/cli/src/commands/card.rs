//! `qare card`: the model card of a run.

use qare_lab::PrintablePath;
use qare_lab::card::card;
use qare_lab::export::writable;
use qare_lab::runs::files::write_whole;
use qare_lab::{LabError, Result};

use crate::cli::CardArgs;
use crate::output::print_line;

/// Prints the card, or writes it to a file.
pub fn card_command(args: CardArgs) -> Result<()> {
    if let Some(out) = &args.out {
        writable("--out", out)?;
        // What somebody has filled in would be lost.
        if out.exists() {
            return Err(LabError::Usage(format!(
                "--out {}: exists; move it away, or choose another file",
                out.printable()
            )));
        }
    }
    let text = card(&args.run)?;
    match &args.out {
        None => print_line(text.trim_end()),
        Some(out) => {
            write_whole(out, text.as_bytes())?;
            print_line(format!("model card saved as {}; fill in what stands in square brackets", out.printable()));
        }
    }
    Ok(())
}

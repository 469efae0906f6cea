//! `qare export`: a backbone for use elsewhere.

use qare_lab::Result;
use qare_lab::export::{ExportOptions, export};

use crate::backend::{Plain, device_at_hand};
use crate::cli::ExportArgs;
use crate::output::say;

pub fn export_command(args: ExportArgs) -> Result<()> {
    let ExportArgs { checkpoint, output, trained_on, image_size } = &args;
    let options = ExportOptions { checkpoint, output, trained_on: *trained_on, image_size: *image_size };
    let exported = export::<Plain>(&options, &device_at_hand()?)?;
    let file = exported.checkpoint.file.display();
    if !exported.tells_preparation {
        say(format!(
            "note: {file} does not say how its images were prepared, and so the export does not: --trained-on and --image-size can"
        ));
    }
    say(format!(
        "{} of {file} saved as {}, explained in {}",
        exported.checkpoint.recipe.backbone,
        output.display(),
        exported.readme.display()
    ));
    Ok(())
}

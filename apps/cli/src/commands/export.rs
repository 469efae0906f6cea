//! `qare export`: writes a backbone for use in other programs.

use qare_lab::PrintablePath;
use qare_lab::Result;
use qare_lab::export::{ExportOptions, export};

use crate::backend::{Plain, any_device};
use crate::cli::ExportArgs;
use crate::output::print_line;

pub fn export_command(args: ExportArgs) -> Result<()> {
    let ExportArgs { checkpoint, output, trained_on, image_size } = &args;
    let options = ExportOptions { checkpoint, output, trained_on: *trained_on, image_size: *image_size };
    let exported = export::<Plain>(&options, &any_device()?)?;
    let file = exported.checkpoint.file.printable();
    if !exported.tells_preparation {
        print_line(format!(
            "note: {file} does not say how its images were prepared, so the export does not either; add it with --trained-on \
             and --image-size"
        ));
    }
    print_line(format!(
        "{} of {file} saved as {}, described in {}",
        exported.checkpoint.recipe.backbone,
        output.printable(),
        exported.readme.printable()
    ));
    Ok(())
}

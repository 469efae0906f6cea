//! `qare export`: writes a backbone for use in other programs.

use qare_lab::PrintablePath;
use qare_lab::Result;
use qare_lab::export::{ExportOptions, export};

use crate::backend::{Plain, any_device};
use crate::cli::ExportArgs;
use crate::output::print_line;

pub fn export_command(args: ExportArgs) -> Result<()> {
    let ExportArgs { checkpoint, output, format, classifier, preprocessing, trained_on, image_size } = &args;
    let options = ExportOptions {
        checkpoint,
        output,
        format: *format,
        trained_on: *trained_on,
        image_size: *image_size,
        classifier: *classifier,
        preprocessing: *preprocessing,
    };
    let exported = export::<Plain>(&options, &any_device()?)?;
    let file = exported.checkpoint.file.printable();
    if !exported.tells_preparation {
        print_line(format!(
            "note: {file} does not say how its images were prepared, so the export does not either; add it with --trained-on \
             and --image-size"
        ));
    }
    let outputs: Vec<String> =
        exported.outputs.iter().map(|output| format!("{} [N, {}]", output.name, output.width)).collect();
    let outputs = if outputs.is_empty() { String::new() } else { format!(" with {}", outputs.join(", ")) };
    print_line(format!(
        "{} of {file} saved as {}{outputs}, described in {}",
        exported.checkpoint.recipe.backbone,
        exported.file.printable(),
        exported.readme.printable()
    ));
    Ok(())
}

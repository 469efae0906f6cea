//! `qare retrieve`: how well images find others of their class.

use qare_data::DatasetName;
use qare_lab::PrintablePath;
use qare_lab::evaluation::retrieval::retrieve;
use qare_lab::images::Images;
use qare_lab::runs::checkpoint::Checkpoint;
use qare_lab::{LabError, Result};

use super::{other_dataset, recipe_of, stated};
use crate::backend::{NAME, Plain, device_for};
use crate::cli::RetrieveArgs;
use crate::output::{notes_to_stderr, print_line, print_note};
use crate::progress::show;

/// Embeds the test images, ranks all others for each, prints the figures and records them.
pub fn retrieve_command(args: RetrieveArgs) -> Result<()> {
    if args.at.contains(&0) {
        return Err(LabError::Usage("--at 0: the nearest image is number 1".into()));
    }
    if args.json {
        notes_to_stderr();
    }
    let flags = args.checkpoint_flags();
    let checkpoint = Checkpoint::of_run_or_file(&flags.checkpoint, &stated(&flags))?;
    let mut recipe = recipe_of(&checkpoint, &flags)?;
    recipe.probe.dataset = other_dataset(&recipe, args.dataset.or(recipe.probe.dataset));
    recipe.probe.seed = args.seed.or(recipe.probe.seed);
    recipe.validate()?;
    let device = device_for(flags.machine.device, recipe.main_device())?;
    recipe.precision.require::<Plain>(NAME, &device)?;
    let Images { splits, .. } = Images::for_retrieval(&recipe, &show)?;
    let dataset = recipe.probed();
    let place = match recipe.data_dir.as_deref().filter(|_| dataset == DatasetName::Folder) {
        Some(dir) => format!(" in {}", dir.printable()),
        None => String::new(),
    };
    let retrieved = retrieve::<Plain>(&checkpoint, &splits.test, &recipe, &device)?;
    if args.json {
        print_line(serde_json::to_string_pretty(&retrieved.json(&args.at)).expect("plain data"));
    } else {
        let figures = &retrieved.figures;
        let (summary, dim) = (&figures.summary, retrieved.dim);
        let (images, classes) = (splits.test.len(), figures.classes);
        print_line(format!(
            "retrieval among {images} test images of {classes} classes of {dataset}{place}, {dim} features"
        ));
        let print = |name: &str, figure: f64| print_line(format!("{name:<14}{:6.2} %", 100.0 * figure));
        args.at.iter().for_each(|k| print(&format!("Recall@{k}"), summary.recall_at(*k)));
        print("R-precision", summary.r_precision);
        print("MAP@R", summary.map_at_r);
        print("mAP", summary.map);
        print("NMI", figures.nmi);
        if summary.left_out > 0 {
            print_note(format!("note: {} images are the only ones of their class, and no queries", summary.left_out));
        }
    }
    if splits.test.roles().is_some() {
        print_note(format!(
            "note: all test images of {dataset} are queries and gallery; its own division and its rule about cameras are not used"
        ));
    }
    if let Some(note) = retrieved.record(&recipe.stage("retrieve"), &args.at)? {
        print_note(format!("note: {note}"));
    }
    Ok(())
}

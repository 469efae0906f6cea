//! `qare retrieve`: how well images find others of their class.

use qare_data::{DatasetName, ImageSet};
use qare_lab::PrintablePath;
use qare_lab::evaluation::embedder::Space;
use qare_lab::evaluation::retrieval::retrieve;
use qare_lab::images::Images;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::Checkpoint;
use qare_lab::{LabError, Result};

use super::{other_dataset, recipe_of, stated};
use crate::backend::{Device, NAME, Plain, device_for};
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
    let space = if args.features { Space::Features } else { Space::Embedding };
    let what = Wanted { space, at: &args.at, json: args.json };
    retrieve_and_record(&checkpoint, &splits.test, &recipe, what, &device)
}

/// Which figures are wanted.
pub struct Wanted<'a> {
    /// Which vectors are compared.
    pub space: Space,
    /// The k of Recall@k.
    pub at: &'a [usize],
    /// Whether to print JSON instead of a table.
    pub json: bool,
}

impl Wanted<'_> {
    /// The figures of `run` and `sweep`.
    pub const USUAL: Wanted<'static> = Wanted { space: Space::Embedding, at: &[1, 2, 4, 8], json: false };
}

/// Computes the figures of images, prints them and records them.
pub fn retrieve_and_record(
    checkpoint: &Checkpoint,
    images: &ImageSet,
    recipe: &Recipe,
    wanted: Wanted<'_>,
    device: &Device,
) -> Result<()> {
    let Wanted { space, at, json } = wanted;
    let dataset = recipe.probed();
    let place = match recipe.data_dir.as_deref().filter(|_| dataset == DatasetName::Folder) {
        Some(dir) => format!(" in {}", dir.printable()),
        None => String::new(),
    };
    let retrieved = retrieve::<Plain>(checkpoint, images, recipe, space, device)?;
    if json {
        print_line(serde_json::to_string_pretty(&retrieved.json(at)).expect("plain data"));
    } else {
        let figures = &retrieved.figures;
        let (summary, dim) = (&figures.summary, retrieved.dim);
        let (count, classes) = (images.len(), figures.classes);
        let what = if retrieved.what == "embedding" { "embeddings of {dim} dimensions" } else { "{dim} features" };
        let what = what.replace("{dim}", &dim.to_string());
        print_line(format!("retrieval among {count} test images of {classes} classes of {dataset}{place}, {what}"));
        let print = |name: &str, figure: f64| print_line(format!("{name:<14}{:6.2} %", 100.0 * figure));
        at.iter().for_each(|k| print(&format!("Recall@{k}"), summary.recall_at(*k)));
        print("R-precision", summary.r_precision);
        print("MAP@R", summary.map_at_r);
        print("mAP", summary.map);
        print("NMI", figures.nmi);
        if summary.left_out > 0 {
            print_note(format!("note: {} images are the only ones of their class, and no queries", summary.left_out));
        }
    }
    if images.roles().is_some() {
        print_note(format!(
            "note: all test images of {dataset} are queries and gallery; its own division and its rule about cameras are not used"
        ));
    }
    if let Some(note) = retrieved.record(recipe, at)? {
        print_note(format!("note: {note}"));
    }
    Ok(())
}

//! `qare retrieve`: how well images find others of their class.

use std::path::Path;

use qare_data::{DatasetName, ImageSet};
use qare_lab::PrintablePath;
use qare_lab::evaluation::embedder::Space;
use qare_lab::evaluation::retrieval::{Protocol, Retrieved, retrieve};
use qare_lab::export::{extension, is_another, writable};
use qare_lab::images::Images;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::Checkpoint;
use qare_lab::runs::files::write_whole;
use qare_lab::{LabError, Result};

use super::sweep::without_repeats;
use super::{only_of_folder, other_dataset, recipe_of, stated};
use crate::backend::{Device, NAME, Plain, device_for};
use crate::cli::RetrieveArgs;
use crate::output::{notes_to_stderr, print_line, print_note};
use crate::progress::show;

/// The most queries of a kind in a picture.
const MOST_QUERIES: usize = 100;

/// Embeds the test images, ranks those that each query searches, prints the figures, records them, and draws a picture if the call asks for one.
pub fn retrieve_command(args: RetrieveArgs) -> Result<()> {
    if args.at.contains(&0) {
        return Err(LabError::Usage("--at 0: the nearest image is number 1".into()));
    }
    if args.json {
        notes_to_stderr();
    }
    let flags = args.checkpoint_flags();
    let checkpoint = Checkpoint::of_run_or_file(&flags.checkpoint, &stated(&flags))?;
    if let Some(picture) = &args.picture {
        check_picture(picture, args.queries, &checkpoint)?;
    }
    let mut recipe = recipe_of(&checkpoint, &flags)?;
    recipe.probe.dataset = other_dataset(&recipe, args.dataset.or(recipe.probe.dataset));
    recipe.probe.seed = args.seed.or(recipe.probe.seed);
    if let Some(classes) = args.test_classes {
        only_of_folder(&classes, recipe.probed())?;
        recipe.test_classes = Some(classes);
    }
    recipe.validate()?;
    let device = device_for(flags.machine.device, recipe.main_device())?;
    recipe.precision.require::<Plain>(NAME, &device)?;
    let Images { splits, .. } = Images::for_retrieval(&recipe, &show)?;
    let space = if args.features { Space::Features } else { Space::Embedding };
    let picture = args.picture.as_deref().map(|file| (file, args.queries));
    let wanted = Wanted { space, at: &without_repeats(&args.at), json: args.json, picture };
    retrieve_and_record(&checkpoint, &splits.test, &recipe, wanted, &device)
}

/// Which figures are wanted.
pub struct Wanted<'a> {
    /// Which vectors are compared.
    pub space: Space,
    /// The k of Recall@k or CMC@k; those that are usual for the dataset if there are none.
    pub at: &'a [usize],
    /// Whether to print JSON instead of a table.
    pub json: bool,
    /// The file of a picture, and its number of queries of a kind.
    pub picture: Option<(&'a Path, usize)>,
}

impl Wanted<'_> {
    /// The figures of `run` and `sweep`.
    pub const USUAL: Wanted<'static> = Wanted { space: Space::Embedding, at: &[], json: false, picture: None };
}

/// Computes the figures of images, prints them, records them, and draws a picture if one is wanted.
pub fn retrieve_and_record(
    checkpoint: &Checkpoint,
    images: &ImageSet,
    recipe: &Recipe,
    wanted: Wanted<'_>,
    device: &Device,
) -> Result<()> {
    let retrieved = retrieve::<Plain>(checkpoint, images, recipe, wanted.space, device)?;
    let ks = match wanted.at {
        [] => retrieved.search.protocol.usual_ks(recipe.probed()),
        given => given,
    };
    if wanted.json {
        print_line(serde_json::to_string_pretty(&retrieved.json(ks)).expect("plain data"));
    } else {
        print_table(&retrieved, images, recipe, ks);
    }
    if let Some(note) = retrieved.record(recipe, ks)? {
        print_note(format!("note: {note}"));
    }
    match wanted.picture {
        Some((file, queries)) => draw(&retrieved, images, queries, recipe.probe_seed(), file),
        None => Ok(()),
    }
}

fn print_table(retrieved: &Retrieved, images: &ImageSet, recipe: &Recipe, ks: &[usize]) {
    let dataset = recipe.probed();
    let place = match recipe.data_dir.as_deref().filter(|_| dataset == DatasetName::Folder) {
        Some(dir) => format!(" in {}", dir.printable()),
        None => String::new(),
    };
    let (figures, search, dim) = (&retrieved.figures, &retrieved.search, retrieved.dim);
    let (summary, classes) = (&figures.summary, figures.classes);
    let what = match retrieved.what {
        "embedding" => format!("embeddings of {dim} dimensions"),
        _ => format!("{dim} features"),
    };
    let across = match (images.cameras(), dataset) {
        (None, _) => "",
        (_, DatasetName::Omniglot) => " between drawers",
        _ => " across cameras",
    };
    print_line(match search.protocol {
        Protocol::QueriesAndGallery => format!(
            "retrieval of {} queries of {dataset}{across} among {} images of the gallery, {what}",
            search.figures.len(),
            search.searched()
        ),
        _ => format!(
            "retrieval{across} among {} test images of {classes} classes of {dataset}{place}, {what}",
            images.len()
        ),
    });
    let print = |name: &str, figure: f64| print_line(format!("{name:<14}{:6.2} %", 100.0 * figure));
    let at = if figures.nmi.is_some() { "Recall" } else { "CMC" };
    ks.iter().for_each(|k| print(&format!("{at}@{k}"), summary.recall_at(*k)));
    if figures.nmi.is_some() {
        print("R-precision", summary.r_precision);
        print("MAP@R", summary.map_at_r);
    }
    print("mAP", summary.map);
    if let Some(nmi) = figures.nmi {
        print("NMI", nmi);
    }
    let left_out = summary.left_out;
    if left_out > 0 && images.cameras().is_some() {
        print_note(format!(
            "note: {left_out} queries have no image of their class from another camera, and are left out"
        ));
    } else if left_out > 0 {
        print_note(format!("note: {left_out} images are the only ones of their class, and no queries"));
    }
}

/// Checks the flags of a picture before any work is done for it.
fn check_picture(file: &Path, queries: usize, checkpoint: &Checkpoint) -> Result<()> {
    if extension(file) != "png" {
        return Err(LabError::Usage(format!("--picture {}: expected a name that ends in .png", file.printable())));
    }
    if !(1..=MOST_QUERIES).contains(&queries) {
        return Err(LabError::Usage(format!("--queries {queries}: it has to be from 1 to {MOST_QUERIES}")));
    }
    writable("--picture", file)?;
    is_another("--picture", file, checkpoint)
}

fn draw(retrieved: &Retrieved, images: &ImageSet, queries: usize, seed: u64, file: &Path) -> Result<()> {
    let (png, shown) = retrieved.picture(images, queries, seed)?;
    write_whole(file, &png)?;
    let worst = match shown.worst.len() {
        0 => String::new(),
        worst => format!(" and, below the line, the {worst} worst"),
    };
    print_note(format!(
        "picture of {} random queries{worst} saved as {}: the query on the left, then its nearest images, right ones \
         in green frames and wrong ones in dashed red frames",
        shown.random.len(),
        file.printable()
    ));
    Ok(())
}

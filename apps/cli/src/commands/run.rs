//! `qare run`: all three stages.

use qare_lab::Result;
use qare_lab::evaluation::finetune;
use qare_lab::evaluation::probe::{ProbeOptions, ProbeResult, ProbeTarget, evaluate_backbone};
use qare_lab::images::{Images, probeable};
use qare_lab::runs::checkpoint::{Checkpoint, Stated};

use super::pretrain::{Prepared, train, with_progress};
use super::probe::probe_and_save;
use super::test::test_and_record;
use crate::backend::{Plain, Training};
use crate::cli::RunArgs;
use crate::output::print_line;
use crate::progress::show;

pub fn run_command(args: RunArgs) -> Result<()> {
    let path = args.recipe.or(args.config).expect("clap asks for one of them");
    let recipe = args.flags.to_recipe(Some(&path))?;
    let Prepared { run, devices, images, no_tui } = &Prepared::of(&recipe, &args.flags, args.existing)?.print_header();
    // Checked before training, which may take hours.
    let other_images = if recipe.probed() == recipe.dataset {
        probeable(recipe.dataset, &images.splits)?;
        None
    } else {
        Some(Images::for_probing(&recipe, &show)?)
    };
    let folder = train(run, &images.splits, devices, *no_tui)?;
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let splits = other_images.as_ref().map_or(&images.splits, |images| &images.splits);
    let target = ProbeTarget::of(&checkpoint, &recipe, None)?;
    let trained = probe_and_save(&checkpoint, &recipe, splits, devices, &target, *no_tui)?;
    if recipe.compare_untrained {
        let backbone = recipe.backbone.init::<Training>(recipe.seed, &devices[0]);
        let tuning_folder = folder.file("untrained_finetuned");
        let untrained = with_progress(&finetune::hint(&tuning_folder), *no_tui, |training| {
            let options = ProbeOptions { training, ..ProbeOptions::silent(&tuning_folder) };
            evaluate_backbone::<Training>(backbone, splits, &recipe, devices, options)
        })?;
        if recipe.probe.finetune {
            finetune::discard(&tuning_folder);
        }
        let row = |name: &str, result: &ProbeResult<Plain>| {
            print_line(format!("{name:<28}{:>12.2} %{:>8.2} %", result.test.accuracy, result.knn));
        };
        print_line(format!("\n{:<28}{:>14}{:>10}", "test accuracy", "linear probe", "kNN"));
        row(&format!("untrained {}", recipe.backbone), &untrained);
        row(&recipe.method.to_string(), &trained);
        print_line("");
    }
    let checkpoint = Checkpoint::of_probe(folder.path(), &recipe.stage("probe"), &Stated::default())?;
    test_and_record(&checkpoint, &recipe.stage("test"), splits, &recipe, &devices[0])
}

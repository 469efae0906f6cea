//! `qare run`: all three stages.

use qare_data::Splits;
use qare_lab::Result;
use qare_lab::evaluation::probe::{ProbeOptions, ProbeResult, ProbeTarget, evaluate_backbone};
use qare_lab::evaluation::retrieval::Search;
use qare_lab::evaluation::{features, finetune};
use qare_lab::images::{Images, probeable, retrievable};
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};

use super::pretrain::{Prepared, train, with_progress};
use super::probe::probe_and_save;
use super::retrieve::{Wanted, retrieve_and_record};
use super::test::test_and_record;
use crate::backend::{Device, Plain, Training};
use crate::cli::RunArgs;
use crate::output::print_line;
use crate::progress::show;

pub fn run_command(args: RunArgs) -> Result<()> {
    let path = args.recipe.or(args.config).expect("clap asks for one of them");
    let recipe = args.flags.to_recipe(Some(&path))?;
    let Prepared { run, devices, images, no_tui } = &Prepared::of(&recipe, &args.flags, args.existing)?.print_header();
    // Checked before training, which may take hours.
    let by_retrieval = recipe.is_evaluated_by_retrieval();
    let other_images = if by_retrieval && recipe.probed() == recipe.dataset {
        retrievable(recipe.dataset, &images.splits.test)?;
        None
    } else if by_retrieval {
        Some(Images::for_retrieval(&recipe, &show)?)
    } else if recipe.probed() == recipe.dataset {
        probeable(recipe.dataset, &images.splits)?;
        None
    } else {
        Some(Images::for_probing(&recipe, &show)?)
    };
    let folder = train(run, &images.splits, devices, *no_tui)?;
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let splits = other_images.as_ref().map_or(&images.splits, |images| &images.splits);
    if by_retrieval {
        return evaluate_by_retrieval(&recipe, &checkpoint, splits, &devices[0]);
    }
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

/// The last stage of a run whose test split has other classes, or whose method is one of metric learning.
fn evaluate_by_retrieval(recipe: &Recipe, checkpoint: &Checkpoint, splits: &Splits, device: &Device) -> Result<()> {
    if recipe.compare_untrained {
        let backbone = recipe.backbone.init::<Plain>(recipe.seed, device);
        let Recipe { precision, num_workers, .. } = *recipe;
        let normalization = recipe.probe_normalization();
        let features = features::extract(&backbone, &splits.test, normalization, precision, num_workers, device)?;
        let untrained = Search::of(&features, &splits.test)?.summary()?;
        let (recall, map) = (100.0 * untrained.recall_at(1), 100.0 * untrained.map);
        print_line(format!("untrained {}: Recall@1 {recall:.2} %, mAP {map:.2} %", recipe.backbone));
    }
    retrieve_and_record(checkpoint, &splits.test, recipe, Wanted::USUAL, device)
}

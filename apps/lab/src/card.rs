//! The model card of a run, as Markdown.

use std::path::Path;
use std::str::FromStr;

use qare_data::{DatasetName, folder};
use serde_json::Value;

use crate::error::{LabError, Result};
use crate::export::without_paths;
use crate::markdown::cell;
use crate::printable_path::PrintablePath;
use crate::recipe::{Recipe, normalization};
use crate::runs::listing::{ListedRun, RunState, describe};
use crate::runs::records::{results, results_file};
use crate::runs::run_folder::RunFolder;
use crate::runs::run_record::{Process, RunRecord, shell_line};
use crate::runs::stage_figures::stage_figures;
use crate::version::{COMMIT, VERSION};

/// Most class names in the card.
const MAX_CLASSES: usize = 100;

/// Returns the model card of the run in a folder: intended use, data, recipe, results, commands, and placeholders in square brackets for what the
/// run does not know, such as the licence.
///
/// # Errors
/// If the folder is not a run, or one of its records is damaged.
pub fn card(folder: &Path) -> Result<String> {
    if !folder.join("recipe.toml").is_file() {
        return Err(LabError::Usage(format!("{} is not a run folder: there is no recipe.toml", folder.printable())));
    }
    let run = describe(folder);
    let Some(recipe) = run.recipe.as_ref().filter(|_| run.state != RunState::Damaged) else {
        return Err(LabError::Failed(
            run.problem.unwrap_or_else(|| format!("{} holds no whole run", folder.printable())),
        ));
    };
    let record = RunRecord::read(&RunFolder::at(folder, recipe))?;
    let found = Value::Object(results(&results_file(folder))?);
    Ok(document(&run, recipe, record.as_ref(), &found))
}

fn document(run: &ListedRun, recipe: &Recipe, record: Option<&RunRecord>, found: &Value) -> String {
    let name = run.folder.file_name().unwrap_or_default().to_string_lossy();
    let about = recipe.method.built_in().map_or("a method outside of qare", |method| method.about());
    let (backbone, dataset) = (recipe.backbone, recipe.dataset);
    let incomplete = match run.state {
        RunState::Done => String::new(),
        _ => format!(
            "\n> The run is {}: {} of {} epochs are finished.\n",
            run.state.as_str(),
            run.epochs_done,
            run.epochs
        ),
    };
    let learned = if recipe.method.plan(recipe).is_some_and(|plan| plan.labelled) { "with" } else { "without" };
    format!(
        "# {}\n{incomplete}\n{backbone} trained on {dataset} {learned} labels by `{}`: {about}. It maps an image to {} features.\n\n\
         - **Licence of the weights:** [licence]\n- **Licence of the data:** [licence of {dataset} and whether it permits this use]\n\
         - **Contact:** [name, address]\n\n\
         ## Intended use\n\nFeatures for classification, retrieval and clustering of images like those of {dataset}. [Uses that were tested; \
         uses that are out of scope.]\n\n\
         ## Data\n\n{}\n## Training\n\n{}\n## Results\n\n{}\n## Commands\n\n{}\n\
         ## Limits and risks\n\nThe figures are for the test images of {}, and say little about other images. [Known failures; groups of people \
         or things that the data leaves out or shows in one way only.]\n\n## Recipe\n\n```toml\n{}```\n\n\
         Written by qare {VERSION}, commit {COMMIT}.\n",
        cell(&name),
        recipe.method,
        backbone.feature_dim(),
        data(recipe, record),
        training(run, recipe, found),
        figures(recipe, found),
        commands(run, recipe, record, found),
        recipe.probed(),
        without_paths(recipe),
    )
}

/// Returns a table of two columns.
fn table(head: [&str; 2], rows: &[(String, String)]) -> String {
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    format!("| {} | {} |\n|---|---|\n{rows}", head[0], head[1])
}

fn data(recipe: &Recipe, record: Option<&RunRecord>) -> String {
    let dataset = recipe.dataset;
    let norm = normalization(dataset, dataset);
    let triple = |values: [f32; 3]| values.map(|value| value.to_string()).join(", ");
    let size = recipe.image_size.or(dataset.side()).unwrap_or(folder::SIDE);
    let mut rows = vec![
        ("dataset".to_string(), format!("{dataset}: {}", cell(dataset.about()))),
        ("input size".into(), format!("{size}×{size} pixels, RGB")),
        ("mean (red, green, blue)".into(), triple(norm.mean)),
        ("standard deviation".into(), triple(norm.std)),
    ];
    if let Some(record) = record {
        rows.insert(1, ("training images".into(), record.images.to_string()));
        if record.skipped > 0 {
            rows.push(("broken images left out".into(), record.skipped.to_string()));
        }
        if let Some(classes) = &record.classes {
            let names = match classes.len() {
                count if count > MAX_CLASSES => String::new(),
                _ => format!(": {}", classes.iter().map(|name| cell(name)).collect::<Vec<_>>().join(", ")),
            };
            rows.push(("classes".into(), format!("{}{names}", classes.len())));
        }
    }
    table(["", "value"], &rows)
}

fn training(run: &ListedRun, recipe: &Recipe, found: &Value) -> String {
    let views = recipe.method.plan(recipe).map_or(recipe.views, |plan| plan.views);
    let mut rows = vec![
        ("method".to_string(), format!("`{}`", recipe.method)),
        ("backbone".into(), recipe.backbone.to_string()),
        ("epochs".into(), format!("{} of {}", run.epochs_done, run.epochs)),
        ("images in a batch".into(), recipe.batch_size.to_string()),
        ("views of an image".into(), views.to_string()),
        ("learning rate".into(), recipe.learning_rate.to_string()),
        ("seed".into(), recipe.seed.to_string()),
        ("precision".into(), recipe.precision.to_string()),
    ];
    if let Some(seconds) = found["pretrain"]["seconds_per_epoch"].as_f64() {
        rows.push(("seconds an epoch".into(), format!("{seconds:.1}")));
    }
    table(["setting", "value"], &rows)
}

/// Returns the accuracies of all stages in percent.
fn figures(recipe: &Recipe, found: &Value) -> String {
    let mut rows = Vec::new();
    for (stage, values) in found.as_object().into_iter().flatten() {
        for (name, percent) in stage_figures(values) {
            rows.push((format!("{}: {name}", cell(stage)), format!("{percent:.2} %")));
        }
    }
    if rows.is_empty() {
        return "None are recorded: `qare probe --checkpoint RUN` and `qare retrieve RUN` add them.\n".into();
    }
    format!("On the test images of {}, one seed.\n\n{}", recipe.probed(), table(["figure", "value"], &rows))
}

/// Returns the command that computes the figures of a stage, named `probe`, `test_cifar100` and the like.
fn evaluation(stage: &str, recipe: &Recipe, folder: &str) -> Option<String> {
    let (name, rest) = stage.split_once('_').unwrap_or((stage, ""));
    let (command, flag) = match (name, rest) {
        ("probe", _) => ("probe --checkpoint", ""),
        ("finetune", _) => ("probe --checkpoint", " --finetune"),
        ("test", _) => ("test --checkpoint", ""),
        ("retrieve", "features") => ("retrieve", " --features"),
        ("retrieve", _) => ("retrieve", ""),
        _ => return None,
    };
    let dataset = match DatasetName::from_str(rest) {
        Ok(dataset) if dataset != recipe.dataset => format!(" --dataset {dataset}"),
        _ => String::new(),
    };
    Some(format!("qare {command} {folder}{dataset}{flag}"))
}

fn commands(run: &ListedRun, recipe: &Recipe, record: Option<&RunRecord>, found: &Value) -> String {
    let mut lines = Vec::new();
    // Line breaks would end the comment or the block.
    let line = |words: &[String]| shell_line(words).replace(['\n', '\r', '`'], " ");
    for Process { version, commit, backend, command, started, .. } in
        record.into_iter().flat_map(|record| std::iter::once(&record.began).chain(&record.continued))
    {
        lines.push(format!("# {started}, qare {version} ({commit}), backend {backend}"));
        lines.push(line(command));
    }
    let folder = line(&[run.folder.printable()]);
    let of_stages = found.as_object().into_iter().flatten().filter_map(|(stage, _)| evaluation(stage, recipe, &folder));
    let of_stages: Vec<String> = of_stages.collect();
    if !of_stages.is_empty() {
        lines.push("# the results; settings of a stage that are not the defaults are in results.json".into());
        lines.extend(of_stages);
    }
    lines.push("# features of other images, and the backbone for other programs".into());
    lines.push(format!("qare embed --checkpoint {folder} --dataset folder --data-dir DIR --output features.npy"));
    lines.push(format!("qare export --checkpoint {folder} --output backbone.safetensors"));
    format!("```sh\n{}\n```\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::records::{Latest, record};
    use serde_json::json;

    #[test]
    fn a_card_has_data_recipe_results_and_placeholders() {
        let out = tempfile::tempdir().unwrap();
        let recipe = Recipe { out: out.path().into(), epochs: 1, ..Default::default() };
        let folder = RunFolder::of(&recipe);
        let error = card(folder.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("is not a run folder"), "{error}");
        folder.create(&recipe).unwrap();
        assert!(card(folder.path()).unwrap().contains("> The run is stopped: 0 of 1 epochs"));
        let weights = folder.weights_name(1);
        std::fs::write(folder.file(&weights), "").unwrap();
        folder.set_latest(&Latest { epoch: 1, weights, optimizer: None, loss_scale: None }).unwrap();
        let stages =
            [("probe".to_string(), json!({ "test_accuracy": 61.5 })), ("a|b".into(), json!({ "accuracy": 1 }))];
        record(&results_file(folder.path()), stages).unwrap();
        let text = card(folder.path()).unwrap();
        for part in [
            "# sparseclr_qare_cifar10_conv4_128_64_64_1.0_1.0\n",
            "| probe: test accuracy | 61.50 % |",
            "| a\\|b: accuracy | 1.00 % |",
            "[licence]",
            "input size | 32×32 pixels, RGB",
            "method = \"sparseclr_qare\"",
            "qare export --checkpoint ",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("> The run is"), "{text}");
        // A card is published.
        assert!(!text.contains("\nout = "), "{text}");
    }
}

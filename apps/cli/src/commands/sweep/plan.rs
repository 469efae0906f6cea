//! The runs of a sweep: methods × values of the varied settings × seeds.

use std::path::Path;

use qare_lab::methods::Method;
use qare_lab::recipe::{Layer, Recipe, Variation};
use qare_lab::runs::run_folder::TOLD_BY_NAME;
use qare_lab::{LabError, Result};

use crate::cli::SweepArgs;

/// A run of a sweep.
pub struct Planned {
    pub recipe: Recipe,
    /// Its value of each varied setting; `None` where its method does not use the setting.
    pub values: Vec<Option<String>>,
}

impl Planned {
    /// Method, values and seed, for messages.
    pub fn title(&self, variations: &[Variation]) -> String {
        let values = variations
            .iter()
            .zip(&self.values)
            .filter_map(|(variation, value)| value.as_ref().map(|value| format!(", {} {value}", variation.setting())));
        format!("{}{}, seed {}", self.recipe.method, values.collect::<String>(), self.recipe.seed)
    }
}

/// Returns the recipe file of a sweep.
pub fn recipe_file(args: &SweepArgs) -> Option<&Path> {
    args.recipe.as_deref().or(args.config.as_deref())
}

/// Returns the runs in order: the seeds of one method and one choice of values follow each other.
pub fn plan(args: &SweepArgs) -> Result<Vec<Planned>> {
    if args.flags.seed.is_some() || args.flags.method.is_some() {
        return Err(LabError::Usage("--seed and --method have no place in a sweep: use --seeds and --methods".into()));
    }
    for (number, variation) in args.vary.iter().enumerate() {
        let setting = variation.setting();
        if args.vary[..number].iter().any(|other| other.setting() == setting) {
            return Err(LabError::Usage(format!("--vary {variation}: another --vary has values of {setting}")));
        }
        if args.flags.layer()?.contains_key(setting) {
            return Err(LabError::Usage(format!("--vary {variation}: another flag sets {setting}")));
        }
    }
    let methods = if args.methods.is_empty() {
        vec![args.flags.to_recipe(recipe_file(args))?.method.built_in()?]
    } else {
        without_repeats(&args.methods)
    };
    let seeds = without_repeats(&args.seeds);
    if let Some(variation) = args.vary.iter().find(|of| !methods.iter().any(|method| uses(*method, of.setting()))) {
        return Err(LabError::Usage(format!("--vary {variation}: none of the methods uses it")));
    }
    let mut runs: Vec<Planned> = Vec::new();
    for method in methods {
        let mut of_method: Vec<Planned> = Vec::new();
        for choice in choices(args, method) {
            let first = planned(args, method, seeds[0], &choice)?;
            // The same numbers in other words, such as 0.5 and 0.50.
            if of_method.iter().any(|other| other.values == first.values) {
                continue;
            }
            of_method.push(first);
            for seed in &seeds[1..] {
                of_method.push(planned(args, method, *seed, &choice)?);
            }
        }
        runs.extend(of_method);
    }
    Ok(runs)
}

/// Settings that change the figures of a backbone that is not trained.
const OF_UNTRAINED: [&str; 4] = ["backbone", "precision", "train_images", "test_images"];

/// Whether a setting changes the figures of a method's runs.
fn uses(method: Method, setting: &str) -> bool {
    let recipe = Recipe { method: method.into(), ..Recipe::default() };
    match method.plan(&recipe) {
        Some(_) => !recipe.unused().contains(&setting),
        None => OF_UNTRAINED.contains(&setting),
    }
}

/// All combinations of values: for each varied setting the index of one, or `None` if the method does not use the setting.
fn choices(args: &SweepArgs, method: Method) -> Vec<Vec<Option<usize>>> {
    let mut choices = vec![Vec::new()];
    for variation in &args.vary {
        let indices: Vec<Option<usize>> = match uses(method, variation.setting()) {
            true => (0..variation.values().len()).map(Some).collect(),
            false => vec![None],
        };
        let with = |choice: Vec<Option<usize>>| {
            indices.iter().map(|index| [choice.as_slice(), &[*index]].concat()).collect::<Vec<_>>()
        };
        choices = choices.into_iter().flat_map(with).collect();
    }
    choices
}

/// The run of a choice of values. Those that the name of its folder does not tell are added to it.
fn planned(args: &SweepArgs, method: Method, seed: u64, choice: &[Option<usize>]) -> Result<Planned> {
    let chosen = args.vary.iter().zip(choice);
    let of_choice: Layer =
        chosen.clone().filter_map(|(variation, index)| index.map(|index| variation.layer(index))).flatten().collect();
    let mut recipe = run_recipe(args, method, seed, of_choice)?;
    let settings = Layer::try_from(&recipe).expect("a recipe is plain TOML");
    let written = |setting: &str| match settings.get(setting) {
        Some(toml::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "none".to_string(),
    };
    let values: Vec<Option<String>> =
        chosen.map(|(variation, index)| index.map(|_| written(variation.setting()))).collect();
    let of_settings = args.vary.iter().map(Variation::setting).zip(&values);
    let mut untold: Vec<String> = of_settings
        .filter(|(setting, _)| !TOLD_BY_NAME.contains(setting))
        .filter_map(|(setting, value)| Some(format!("{setting}_{}", value.as_ref()?)))
        .collect();
    untold.sort_unstable();
    let parts: Vec<String> = recipe.id.take().into_iter().chain(untold).chain([format!("seed_{seed}")]).collect();
    recipe.id = Some(parts.join("_"));
    recipe.validate().map_err(|error| match error {
        LabError::Usage(message) if !args.vary.is_empty() => {
            LabError::Usage(format!("--vary adds its values to the names of run folders: {message}"))
        }
        error => error,
    })?;
    Ok(Planned { recipe, values })
}

/// The recipe of a method and seed, with settings above those of flags and file. Its id is that of the sweep.
fn run_recipe(args: &SweepArgs, method: Method, seed: u64, above: Layer) -> Result<Recipe> {
    let mut flags = args.flags.clone();
    flags.method = Some(method);
    flags.seed = Some(seed);
    let shown: Vec<String> = above.iter().map(|(setting, value)| format!("{setting}={value}")).collect();
    flags.to_recipe_with(recipe_file(args), above).map_err(|error| match error {
        LabError::Usage(message) if !shown.is_empty() => {
            LabError::Usage(format!("--vary {}: {message}", shown.join(" ")))
        }
        error => error,
    })
}

/// The items in their order, each once.
pub fn without_repeats<T: Clone + PartialEq>(items: &[T]) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}

//! A run, described by one value: read from a TOML file, overridden by flags, kept in the run folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use qare_data::DatasetName;
use qare_models::BackboneName;
use serde::{Deserialize, Serialize};

use crate::error::{AppError, Result};
use crate::methods::{Aggregation, Method};

/// Everything that a run depends on. The defaults are the protocol of the paper's repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// In a file: another recipe, found from the file's folder, whose settings hold where this one says nothing.
    #[serde(skip_serializing)]
    pub base: Option<PathBuf>,
    pub dataset: DatasetName,
    pub method: Method,
    pub backbone: BackboneName,
    pub seed: u64,
    /// Images in a batch.
    pub data_size: usize,
    /// Views of each image, the seed's K.
    #[serde(rename = "K", alias = "views")]
    pub views: usize,
    pub epochs: usize,
    /// Weight of the pairwise term of the `*_qare` methods.
    pub alpha: f64,
    /// Weight of the set term of the `*_qare` methods.
    pub beta: f64,
    /// Temperature of NT-Xent.
    pub temperature: f64,
    /// Margin of SparseCLR.
    pub margin: f64,
    /// How `relationnet` joins the features of two views.
    pub aggregation: Aggregation,
    /// How many clusters `deepcluster` makes; ten for each class, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    pub learning_rate: f64,
    /// Momentum of SGD, with which `standard` trains.
    pub momentum: f64,
    /// Dimensions of an embedding, at the head's end.
    pub outter_fs: usize,
    /// Threads that prepare batches.
    pub num_workers: usize,
    /// Device number, for backends with more than one.
    pub gpu: usize,
    /// Height and width that the images of a folder are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Train and probe on this many images of the training split, the first ones, instead of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Test on this many images of the test split, the first ones, instead of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// Weights to start from: a run folder, or a weights file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Where the dataset's files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Where run folders are made.
    pub out: PathBuf,
    /// Ends the run folder's name, to tell runs apart that share all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether `run` also evaluates the untrained backbone, to compare with.
    pub compare_untrained: bool,
    pub infomax: InfoMaxRecipe,
    pub knn: KnnRecipe,
    pub probe: ProbeRecipe,
}

/// Weights of the terms of `deepinfomax`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoMaxRecipe {
    /// Information between features and each place of the first maps.
    pub local: f64,
    /// Information between features and the first maps as a whole.
    pub global: f64,
    /// Matching the features with a uniform distribution.
    pub prior: f64,
}

/// The k-nearest-neighbour accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnnRecipe {
    pub neighbours: usize,
    pub temperature: f64,
    /// During training: how many images of the training split are queries, held out of the bank (training sees them,
    /// without their labels) …
    pub held_out: usize,
    /// … against how many others.
    pub bank: usize,
}

/// The linear probe, or fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeRecipe {
    /// Of the probe's own draws; the run's where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub epochs: usize,
    pub data_size: usize,
    pub learning_rate: f64,
    /// Another dataset than the one trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetName>,
    /// Train the backbone too.
    pub finetune: bool,
    /// In fine-tuning, train on affine views with erased squares.
    pub augment: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            base: None,
            dataset: DatasetName::Cifar10,
            method: Method::SparseclrQare,
            backbone: BackboneName::Conv4,
            seed: 1,
            data_size: 128,
            views: 2,
            epochs: 200,
            alpha: 1.0,
            beta: 1.0,
            temperature: 0.5,
            margin: 1.0,
            aggregation: Aggregation::default(),
            clusters: None,
            learning_rate: 1e-3,
            momentum: 0.9,
            outter_fs: 64,
            // One core is left to the training itself.
            num_workers: std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).clamp(1, 8)),
            gpu: 0,
            image_size: None,
            train_images: None,
            test_images: None,
            checkpoint: None,
            data_dir: None,
            out: PathBuf::from("./checkpoint"),
            id: None,
            compare_untrained: false,
            infomax: InfoMaxRecipe::default(),
            knn: KnnRecipe::default(),
            probe: ProbeRecipe::default(),
        }
    }
}

impl Default for InfoMaxRecipe {
    fn default() -> Self {
        Self { local: 1.0, global: 0.0, prior: 0.1 }
    }
}

impl Default for KnnRecipe {
    fn default() -> Self {
        Self { neighbours: 200, temperature: 0.1, held_out: 2000, bank: 10_000 }
    }
}

impl Default for ProbeRecipe {
    fn default() -> Self {
        Self {
            seed: None,
            epochs: 100,
            data_size: 128,
            learning_rate: 1e-3,
            dataset: None,
            finetune: false,
            augment: false,
        }
    }
}

/// Settings by name, as a recipe's file or the flags give them: not all of them.
pub type Layer = toml::Table;

/// The key by which a recipe builds on another.
const BASE: &str = "base";

/// What both say, `upper` going before; tables are merged in their turn.
fn merged(mut lower: Layer, upper: Layer) -> Layer {
    for (name, value) in upper {
        let value = match (lower.remove(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => toml::Value::Table(merged(below, above)),
            (_, value) => value,
        };
        lower.insert(name, value);
    }
    lower
}

impl Recipe {
    /// The settings in a recipe's file, over those of the recipe it names as its `base`, if it does.
    pub fn layers(path: &Path) -> Result<Layer> {
        Self::layers_below(path, 8)
    }

    fn layers_below(path: &Path, depth: usize) -> Result<Layer> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| AppError::Usage(format!("cannot read the recipe {}: {error}", path.display())))?;
        let wrong = |error: String| AppError::Usage(format!("recipe {}: {error}", path.display()));
        // As a whole first, for that names the line of a mistake.
        let recipe: Recipe = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_string()))?;
        let mut layer: Layer = text.parse().expect("it has just been parsed");
        layer.remove(BASE);
        let Some(base) = recipe.base else { return Ok(layer) };
        if depth == 0 {
            return Err(wrong("it has too many bases one below the other, or is its own".into()));
        }
        let base = path.parent().unwrap_or(Path::new("")).join(base);
        Ok(merged(Self::layers_below(&base, depth - 1)?, layer))
    }

    /// The recipe of these settings; what they do not say is as the method does it.
    pub fn of_layers(layers: impl IntoIterator<Item = Layer>) -> std::result::Result<Self, String> {
        let told = |error: toml::de::Error| error.to_string().trim_end().to_string();
        let mut said = layers.into_iter().fold(Layer::new(), merged);
        if let Some(views) = said.remove("views") {
            said.insert("K".into(), views);
        }
        let mut defaults = Self::default();
        if let Some(method) = said.get("method") {
            defaults.method = method.clone().try_into().map_err(told)?;
        }
        defaults.method.set_defaults(&mut defaults);
        let defaults = Layer::try_from(defaults).expect("a recipe is plain TOML");
        merged(defaults, said).try_into().map_err(told)
    }

    /// Reads a recipe as a run folder keeps it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is plain TOML")
    }

    /// Whether every number is one that a run can work with.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("data_size", self.data_size, 2),
            ("K", self.views, 2),
            ("clusters", self.clusters.unwrap_or(2), 2),
            ("image_size", self.image_size.unwrap_or(8), 8),
            ("test_images", self.test_images.unwrap_or(1), 1),
            ("epochs", self.epochs, 1),
            ("outter_fs", self.outter_fs, 1),
            ("knn.neighbours", self.knn.neighbours, 1),
            ("knn.held_out", self.knn.held_out, 1),
            ("knn.bank", self.knn.bank, 1),
            ("probe.epochs", self.probe.epochs, 1),
            ("probe.data_size", self.probe.data_size, 1),
        ];
        for (name, value, least) in counts {
            if value < least {
                return Err(AppError::Usage(format!("{name} is {value}: it has to be at least {least}")));
            }
        }
        // Beyond these it is a slip of the finger, which should not end in an allocation that fails.
        let bounds = [
            ("data_size", self.data_size, 1 << 20),
            ("K", self.views, 1024),
            ("clusters", self.clusters.unwrap_or(2), 1 << 24),
            ("image_size", self.image_size.unwrap_or(8), 4096),
            ("outter_fs", self.outter_fs, 1 << 16),
            ("num_workers", self.num_workers, 1024),
            ("probe.data_size", self.probe.data_size, 1 << 30),
        ];
        for (name, value, most) in bounds {
            if value > most {
                return Err(AppError::Usage(format!("{name} is {value}: it has to be at most {most}")));
            }
        }
        for (name, seed) in [("seed", Some(self.seed)), ("probe.seed", self.probe.seed)] {
            if seed.is_some_and(|seed| seed > i64::MAX as u64) {
                return Err(AppError::Usage(format!(
                    "{name} has to be at most {}, which is what TOML can hold",
                    i64::MAX
                )));
            }
        }
        for path in [Some(&self.out), self.data_dir.as_ref(), self.checkpoint.as_ref()].into_iter().flatten() {
            if path.to_str().is_none() {
                return Err(AppError::Usage(format!(
                    "{}: a path has to be UTF-8, to stand in a recipe",
                    path.display()
                )));
            }
        }
        if self.checkpoint.is_some() && self.method == Method::Randomweights {
            return Err(AppError::Usage("randomweights starts from no checkpoint: leave --checkpoint out".into()));
        }
        if self.train_images.is_some_and(|images| images < 2) {
            return Err(AppError::Usage("train_images has to be at least 2: a contrast needs two images".into()));
        }
        let positive = [
            ("temperature", self.temperature),
            ("learning_rate", self.learning_rate),
            ("knn.temperature", self.knn.temperature),
            ("probe.learning_rate", self.probe.learning_rate),
        ];
        for (name, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(AppError::Usage(format!("{name} is {value}: it has to be a positive number")));
            }
        }
        let InfoMaxRecipe { local, global, prior } = self.infomax;
        let weights =
            [("alpha", self.alpha), ("beta", self.beta), ("margin", self.margin), ("momentum", self.momentum)];
        let terms = [("infomax.local", local), ("infomax.global", global), ("infomax.prior", prior)];
        for (name, value) in weights.into_iter().chain(terms) {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(AppError::Usage(format!("{name} is {value}: it has to be zero or a positive number")));
            }
        }
        if terms.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(AppError::Usage(
                "infomax: at least one of local, global and prior has to have a weight".into(),
            ));
        }
        if self.momentum >= 1.0 {
            return Err(AppError::Usage(format!("momentum is {}: it has to be below 1", self.momentum)));
        }
        if self.id.as_deref().is_some_and(|id| id.is_empty() || id.contains(['/', '\\'])) {
            return Err(AppError::Usage("id has to be a name without slashes: it ends the run folder's name".into()));
        }
        Ok(())
    }

    /// The dataset that a probe is trained and tested on.
    pub fn probed(&self) -> DatasetName {
        self.probe.dataset.unwrap_or(self.dataset)
    }

    /// The seed of a probe's own draws.
    pub fn probe_seed(&self) -> u64 {
        self.probe.seed.unwrap_or(self.seed)
    }

    /// What `results.json` and file names call a stage that is done to the probed dataset, the classifier frozen or not.
    pub fn stage(&self, name: &str) -> String {
        let tuned = match (name, self.probe.finetune) {
            ("probe", true) => "finetune".to_string(),
            (name, true) => format!("{name}_finetune"),
            (name, false) => name.to_string(),
        };
        match self.probed() == self.dataset {
            true => tuned,
            false => format!("{tuned}_{}", self.probed()),
        }
    }

    /// The names of the settings that decide a run's weights and differ between two recipes.
    pub fn differences(&self, other: &Recipe) -> Vec<String> {
        let table = |recipe: &Recipe| toml::Table::try_from(recipe).expect("a recipe is plain TOML");
        let (mine, theirs) = (table(self), table(other));
        let elsewhere =
            ["data_dir", "out", "id", "num_workers", "gpu", "compare_untrained", "test_images", "knn", "probe"];
        let names: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let told = |value: Option<&toml::Value>| value.map_or("none".to_string(), |value| value.to_string());
        names
            .into_iter()
            .filter(|name| !elsewhere.contains(&name.as_str()) && mine.get(*name) != theirs.get(*name))
            .map(|name| format!("{name} = {} (the run has {})", told(mine.get(name)), told(theirs.get(name))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_own_file() {
        let recipe = Recipe { alpha: 0.7, data_dir: Some("/data".into()), ..Default::default() };
        assert_eq!(Recipe::parse(&recipe.to_toml()).unwrap(), recipe);
        assert_eq!(Recipe::of_layers([]).unwrap(), Recipe::default());
    }

    #[test]
    fn a_method_has_settings_of_its_own_until_told_otherwise() {
        let of = |text: &str| Recipe::of_layers([text.parse().unwrap()]).unwrap();
        let relationnet = of("method = \"relationnet\"");
        assert_eq!((relationnet.views, relationnet.data_size), (32, 64));
        assert_eq!(of("method = \"relationnet\"\nviews = 4").views, 4);
        assert_eq!(of("method = \"standard\"").learning_rate, 0.1);
        assert_eq!(of("method = \"deepinfomax\"").learning_rate, 1e-4);
        let layers = ["[probe]\nepochs = 3\ndata_size = 9", "method = \"standard\"\n[probe]\nepochs = 4"];
        let both = Recipe::of_layers(layers.map(|text| text.parse().unwrap())).unwrap();
        assert_eq!((both.probe.epochs, both.probe.data_size, both.probe.learning_rate), (4, 9, 1e-3));
    }

    #[test]
    fn unknown_keys_and_names_are_told() {
        assert!(Recipe::parse("epoch = 3").unwrap_err().contains("epoch"));
        assert!(Recipe::parse("method = \"moco\"").unwrap_err().contains("sparseclr_qare"));
        assert_eq!(Recipe::parse("method = \"sparceclr\"").unwrap().method, Method::Sparseclr);
    }

    #[test]
    fn only_what_decides_the_weights_is_a_difference() {
        let recipe = Recipe::default();
        let other = Recipe { num_workers: 7, beta: 0.5, ..recipe.clone() };
        assert_eq!(other.differences(&recipe), ["beta = 0.5 (the run has 1.0)"]);
        let part = Recipe { train_images: Some(64), ..recipe.clone() };
        assert_eq!(recipe.differences(&part), ["train_images = none (the run has 64)"]);
        assert_eq!(part.differences(&recipe), ["train_images = 64 (the run has none)"]);
    }

    #[test]
    fn numbers_out_of_range_are_told() {
        for text in [
            "data_size = 0",
            "K = 1",
            "epochs = 0",
            "alpha = nan",
            "learning_rate = 0.0",
            "K = 1000000000",
            "id = \"a/b\"",
        ] {
            assert!(Recipe::parse(text).unwrap().validate().is_err(), "{text}");
        }
        Recipe::default().validate().unwrap();
    }
}

//! Layers of settings: a recipe file, its bases, flags, and the defaults of the method.

use std::path::Path;

use super::Recipe;
use super::syntax_error::describe;
use crate::error::{LabError, Result};
use crate::methods::Method;
use crate::printable_path::PrintablePath;

/// A subset of the settings by name, from a recipe file or from flags.
pub type Layer = toml::Table;

/// The key that names the base of a recipe.
const BASE: &str = "base";

/// The two settings that name devices.
const DEVICES: [&str; 2] = ["device", "gpus"];

/// Settings that are paths. A relative path in a recipe file is relative to the folder of the file.
const PATHS: [&str; 3] = ["data_dir", "checkpoint", "out"];

/// Resolves a path in a recipe file in `folder`. `~/` is the home folder, as in a shell.
fn resolve(folder: &Path, path: &str) -> String {
    let home = path.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    let full = home.unwrap_or_else(|| folder.join(path));
    // `Recipe::validate` refuses a path that is not UTF-8.
    full.to_str().map_or_else(|| path.to_string(), str::to_string)
}

/// Merges two layers. Settings of `upper` take precedence; tables are merged recursively.
fn merge(lower: Layer, upper: Layer) -> Layer {
    let (mut lower, upper) = (without_aliases(lower), without_aliases(upper));
    // A layer that sets one of the two settings overrides both.
    if DEVICES.iter().any(|name| upper.contains_key(*name)) {
        lower.retain(|name, _| !DEVICES.contains(&name));
    }
    for (name, value) in upper {
        let value = match (lower.remove(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => toml::Value::Table(merge(below, above)),
            (_, value) => value,
        };
        lower.insert(name, value);
    }
    lower
}

/// Replaces aliases by the names of the settings.
pub(super) fn without_aliases(mut layer: Layer) -> Layer {
    for (alias, name) in [("views", "K"), ("gpu", "device"), ("data_size", "batch_size")] {
        if let Some(value) = layer.remove(alias) {
            layer.insert(name.into(), value);
        }
    }
    layer
}

impl Recipe {
    /// Reads the settings of a recipe file, merged with those of its `base`, if it names one.
    ///
    /// # Errors
    /// If a file cannot be read or is not a recipe, or there are more than eight bases.
    pub fn layers(path: &Path) -> Result<Layer> {
        Self::layers_below(path, 8)
    }

    fn layers_below(path: &Path, depth: usize) -> Result<Layer> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| LabError::Usage(format!("cannot read the recipe {}: {error}", path.printable())))?;
        let invalid = |error: String| LabError::Usage(format!("recipe {}: {error}", path.printable()));
        let invalid_toml = |error: toml::de::Error| invalid(describe(&error, Some(&text)));
        // The text is parsed as a recipe first, because this error names the line.
        let recipe: Recipe = toml::from_str(&text).map_err(invalid_toml)?;
        // This fails for integers above 2⁶³ − 1, which a recipe accepts and a table does not.
        let mut layer: Layer = text.parse().map_err(invalid_toml)?;
        layer.remove(BASE);
        let folder = path.parent().unwrap_or(Path::new(""));
        for name in PATHS {
            if let Some(toml::Value::String(path)) = layer.get_mut(name) {
                *path = resolve(folder, path);
            }
        }
        let Some(base) = recipe.base else { return Ok(layer) };
        if depth == 0 {
            return Err(invalid("the chain of bases is too long, or the recipe is its own base".into()));
        }
        let below = Self::layers_below(&folder.join(base), depth - 1);
        Ok(merge(below.map_err(|error| invalid(format!("its base: {error}")))?, layer))
    }

    /// Merges layers into a recipe. Later layers take precedence, and the defaults of the method fill in the other settings.
    ///
    /// # Errors
    /// If a setting is unknown or of the wrong type, or the method is not built in.
    pub fn of_layers(layers: impl IntoIterator<Item = Layer>) -> std::result::Result<Self, String> {
        let message = |error: toml::de::Error| describe(&error, None);
        let settings = layers.into_iter().fold(Layer::new(), merge);
        let mut defaults = Self::default();
        if let Some(method) = settings.get("method") {
            defaults.method = method.clone().try_into::<Method>().map_err(message)?.into();
        }
        defaults.method.built_in().map_err(|error| error.to_string())?.set_defaults(&mut defaults);
        let defaults = Layer::try_from(defaults).expect("a recipe is plain TOML");
        merge(defaults, settings).try_into().map_err(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::DeviceChoice;

    #[test]
    fn a_later_layer_overrides_both_device_settings() {
        let of = |layers: &[&str]| {
            let recipe = Recipe::of_layers(layers.iter().map(|text| text.parse().unwrap())).unwrap();
            (recipe.devices(), recipe.validate().is_ok())
        };
        let numbers = |numbers: &[usize]| numbers.iter().map(|number| Some(DeviceChoice::Number(*number))).collect();
        assert_eq!(of(&[]), (vec![None], true));
        assert_eq!(of(&["gpus = [2, 1]"]), (numbers(&[2, 1]), true));
        assert_eq!(of(&["gpus = [2, 1]", "gpu = 3"]), (numbers(&[3]), true));
        assert_eq!(of(&["gpu = 3", "gpus = [0, 0]"]), (numbers(&[0, 0]), true));
        assert_eq!(of(&["device = \"cpu\""]), (vec![Some(DeviceChoice::Cpu)], true));
        assert!(!of(&["device = 1\ngpus = [2, 1]"]).1);
        assert!(!of(&["gpus = []"]).1);
    }

    #[test]
    fn relative_paths_are_relative_to_the_recipe() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("inner")).unwrap();
        write("base.toml", "data_dir = \"images\"\nout = \"/runs\"\n");
        write("inner/mine.toml", "base = \"../base.toml\"\ncheckpoint = \"w.pt\"\n");
        let layer = Recipe::layers(&dir.path().join("inner/mine.toml")).unwrap();
        let recipe = Recipe::of_layers([layer]).unwrap();
        let assert_same = |path: Option<std::path::PathBuf>, expected: &str| {
            let (path, expected) = (path.unwrap(), dir.path().join(expected));
            assert_eq!(
                path.parent().unwrap().canonicalize().unwrap(),
                expected.parent().unwrap().canonicalize().unwrap()
            );
            assert_eq!(path.file_name(), expected.file_name());
        };
        assert_same(recipe.data_dir, "images");
        assert_same(recipe.checkpoint, "inner/w.pt");
        assert_eq!(recipe.out, Path::new("/runs"));
    }

    #[test]
    fn an_integer_beyond_63_bits_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("large.toml");
        for (name, value) in
            [("seed", "9223372036854775808"), ("epochs", "18446744073709551615"), ("K", "99999999999999999999999")]
        {
            std::fs::write(&file, format!("{name} = {value}\n")).unwrap();
            let error = Recipe::layers(&file).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("large.toml"), "{error}");
        }
    }

    #[test]
    fn layers_override_the_defaults_of_the_method() {
        let of = |text: &str| Recipe::of_layers([text.parse().unwrap()]).unwrap();
        let relationnet = of("method = \"relationnet\"");
        assert_eq!((relationnet.views, relationnet.batch_size), (32, 64));
        assert_eq!(of("method = \"relationnet\"\nviews = 4").views, 4);
        assert_eq!(of("method = \"standard\"").learning_rate, 0.1);
        assert_eq!(of("method = \"deepinfomax\"").learning_rate, 1e-4);
        let layers = ["[probe]\nepochs = 3\ndata_size = 9", "method = \"standard\"\n[probe]\nepochs = 4"];
        let both = Recipe::of_layers(layers.map(|text| text.parse().unwrap())).unwrap();
        assert_eq!((both.probe.epochs, both.probe.batch_size, both.probe.learning_rate), (4, 9, 1e-3));
        let both = Recipe::of_layers(["views = 4", "K = 3"].map(|text| text.parse().unwrap())).unwrap();
        assert_eq!(both.views, 3);
    }
}

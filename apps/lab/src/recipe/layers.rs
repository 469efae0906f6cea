//! Recipes upon recipes: settings from a file, from those it builds on, from flags, and from the method.

use std::path::Path;

use super::Recipe;
use crate::error::{LabError, Result};
use crate::methods::Method;

/// Settings by name, as a recipe's file or the flags give them: not all of them.
pub type Layer = toml::Table;

/// The key by which a recipe builds on another.
const BASE: &str = "base";

/// The two ways to name devices.
const DEVICES: [&str; 2] = ["device", "gpus"];

/// Settings that are paths. A relative one in a recipe's file counts from the file's folder.
const PATHS: [&str; 3] = ["data_dir", "checkpoint", "out"];

/// A path that stands in a file of this folder. `~/` is the home folder, as in a shell.
fn resolved(folder: &Path, path: &str) -> String {
    let home = path.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    let whole = home.unwrap_or_else(|| folder.join(path));
    // A folder that is no text is refused where the recipe is checked.
    whole.to_str().map_or_else(|| path.to_string(), str::to_string)
}

/// What both say, `upper` going before; tables are merged in their turn.
fn merged(lower: Layer, upper: Layer) -> Layer {
    let (mut lower, upper) = (named(lower), named(upper));
    // Who names devices, one or several, names all there are.
    if DEVICES.iter().any(|name| upper.contains_key(*name)) {
        lower.retain(|name, _| !DEVICES.contains(&name));
    }
    for (name, value) in upper {
        let value = match (lower.remove(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => toml::Value::Table(merged(below, above)),
            (_, value) => value,
        };
        lower.insert(name, value);
    }
    lower
}

/// The same, with settings that have another name under their own.
fn named(mut layer: Layer) -> Layer {
    for (other, own) in [("views", "K"), ("gpu", "device"), ("data_size", "batch_size")] {
        if let Some(value) = layer.remove(other) {
            layer.insert(own.into(), value);
        }
    }
    layer
}

impl Recipe {
    /// The settings in a recipe's file, over those of the recipe it names as its `base`, if it does.
    pub fn layers(path: &Path) -> Result<Layer> {
        Self::layers_below(path, 8)
    }

    fn layers_below(path: &Path, depth: usize) -> Result<Layer> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| LabError::Usage(format!("cannot read the recipe {}: {error}", path.display())))?;
        let wrong = |error: String| LabError::Usage(format!("recipe {}: {error}", path.display()));
        let in_toml = |error: toml::de::Error| wrong(error.to_string().trim_end().to_string());
        // The whole recipe first: its error names the line of a mistake.
        let recipe: Recipe = toml::from_str(&text).map_err(in_toml)?;
        // A table holds integers up to 63 bits, a recipe's numbers may have one more.
        let mut layer: Layer = text.parse().map_err(in_toml)?;
        layer.remove(BASE);
        let folder = path.parent().unwrap_or(Path::new(""));
        for name in PATHS {
            if let Some(toml::Value::String(path)) = layer.get_mut(name) {
                *path = resolved(folder, path);
            }
        }
        let Some(base) = recipe.base else { return Ok(layer) };
        if depth == 0 {
            return Err(wrong("it has too many bases one below the other, or is its own".into()));
        }
        Ok(merged(Self::layers_below(&folder.join(base), depth - 1)?, layer))
    }

    /// The recipe of these settings; the method's defaults fill in what they do not say.
    pub fn of_layers(layers: impl IntoIterator<Item = Layer>) -> std::result::Result<Self, String> {
        let told = |error: toml::de::Error| error.to_string().trim_end().to_string();
        let said = layers.into_iter().fold(Layer::new(), merged);
        let mut defaults = Self::default();
        if let Some(method) = said.get("method") {
            defaults.method = method.clone().try_into::<Method>().map_err(told)?.into();
        }
        defaults.method.built_in().map_err(|error| error.to_string())?.set_defaults(&mut defaults);
        let defaults = Layer::try_from(defaults).expect("a recipe is plain TOML");
        merged(defaults, said).try_into().map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::DeviceChoice;

    #[test]
    fn devices_are_named_in_one_of_two_ways() {
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
    fn relative_paths_count_from_the_recipe() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("inner")).unwrap();
        write("base.toml", "data_dir = \"images\"\nout = \"/runs\"\n");
        write("inner/mine.toml", "base = \"../base.toml\"\ncheckpoint = \"w.pt\"\n");
        let layer = Recipe::layers(&dir.path().join("inner/mine.toml")).unwrap();
        let recipe = Recipe::of_layers([layer]).unwrap();
        let same = |path: Option<std::path::PathBuf>, expected: &str| {
            let (path, expected) = (path.unwrap(), dir.path().join(expected));
            assert_eq!(
                path.parent().unwrap().canonicalize().unwrap(),
                expected.parent().unwrap().canonicalize().unwrap()
            );
            assert_eq!(path.file_name(), expected.file_name());
        };
        same(recipe.data_dir, "images");
        same(recipe.checkpoint, "inner/w.pt");
        assert_eq!(recipe.out, Path::new("/runs"));
    }

    #[test]
    fn an_integer_of_64_bits_is_refused_not_panicked_about() {
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
    fn a_method_has_settings_of_its_own_until_told_otherwise() {
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

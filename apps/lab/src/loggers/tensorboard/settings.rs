//! The settings of a recipe as hyperparameters.

use super::event::Setting;
use crate::recipe::Recipe;

/// Settings that say where a run computes and stores, and not what.
const PLACES: [&str; 10] =
    ["out", "id", "data_dir", "checkpoint", "num_workers", "figures", "logger", "skip_broken", "max_pixels", "gpus"];

/// Returns the settings of a recipe that its method uses, those of tables as `TABLE.NAME`.
pub fn settings(recipe: &Recipe) -> Vec<(String, Setting)> {
    let unused = recipe.unused();
    let table = toml::Table::try_from(recipe).expect("a recipe is plain TOML");
    let used = table.iter().filter(|(name, _)| !PLACES.contains(&name.as_str()) && !unused.contains(&name.as_str()));
    let mut settings = Vec::new();
    used.for_each(|(name, value)| add(&mut settings, name.clone(), value));
    settings
}

fn add(settings: &mut Vec<(String, Setting)>, name: String, value: &toml::Value) {
    let setting = match value {
        toml::Value::Table(table) => {
            return table.iter().for_each(|(inner, value)| add(settings, format!("{name}.{inner}"), value));
        }
        toml::Value::Integer(value) => Setting::Number(*value as f64),
        toml::Value::Float(value) => Setting::Number(*value),
        toml::Value::Boolean(value) => Setting::Bool(*value),
        toml::Value::String(text) => Setting::Text(text.clone()),
        other => Setting::Text(other.to_string()),
    };
    settings.push((name, setting));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::Method;

    #[test]
    fn settings_are_those_that_the_method_uses() {
        let recipe = Recipe { method: Method::Simclr.into(), out: "/home/me".into(), ..Recipe::default() };
        let settings = settings(&recipe);
        let of = |name: &str| settings.iter().find(|(other, _)| other == name).map(|(_, setting)| setting.clone());
        assert_eq!(of("temperature"), Some(Setting::Number(0.5)));
        assert_eq!(of("method"), Some(Setting::Text("simclr".into())));
        assert_eq!(of("local_batch_norm"), Some(Setting::Bool(false)));
        assert_eq!(of("knn.neighbours"), Some(Setting::Number(200.0)));
        assert_eq!((of("margin"), of("out"), of("knn")), (None, None, None));
    }
}

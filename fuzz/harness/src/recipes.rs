//! Recipes.

use qare_lab::recipe::Recipe;
use tempfile::tempdir;

use crate::told;

/// Reads a recipe as a file that a user names, and as the recipe in a run folder.
pub fn file(bytes: &[u8]) {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, bytes).expect("a file");
    match Recipe::layers(&path) {
        Ok(layer) => {
            if let Ok(recipe) = Recipe::of_layers([layer]) {
                if let Err(error) = recipe.validate() {
                    told(error);
                }
                survives(recipe);
            }
        }
        Err(error) => {
            let text = told(error);
            // The error may name the base of the recipe instead.
            assert!(
                text.contains("mine.toml") || text.contains("cannot read the recipe"),
                "an error that names no file: {text}"
            );
        }
    }
    if let Ok(recipe) = Recipe::parse(&String::from_utf8_lossy(bytes)) {
        survives(recipe);
    }
}

/// Asserts that the text of a recipe is read as the same recipe.
fn survives(recipe: Recipe) {
    // TOML has no larger numbers.
    if [Some(recipe.seed), recipe.probe.seed, recipe.max_pixels]
        .iter()
        .flatten()
        .any(|number| *number > i64::MAX as u64)
    {
        return;
    }
    // The text holds the settings of the base, and does not name it.
    let text = Recipe { base: None, ..recipe }.to_toml();
    let again = Recipe::parse(&text).expect("a recipe's own text");
    assert_eq!(again.to_toml(), text);
}

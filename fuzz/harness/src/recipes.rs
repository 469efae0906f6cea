//! Recipes.

use qare_lab::recipe::Recipe;
use tempfile::tempdir;

use crate::told;

/// Reads a recipe, as a file of a person and as one of a run folder.
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
            // Or that of its base.
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

/// A recipe's text is a recipe of the same text.
fn survives(recipe: Recipe) {
    // TOML has no more.
    if [Some(recipe.seed), recipe.probe.seed, recipe.max_pixels]
        .iter()
        .flatten()
        .any(|number| *number > i64::MAX as u64)
    {
        return;
    }
    // Where it stands is no part of a recipe.
    let text = Recipe { base: None, ..recipe }.to_toml();
    let again = Recipe::parse(&text).expect("a recipe's own text");
    assert_eq!(again.to_toml(), text);
}

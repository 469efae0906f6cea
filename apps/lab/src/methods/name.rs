//! The name of a method in a recipe.

use std::fmt;

use qare_data::{ImageSet, Splits};
use serde::{Deserialize, Serialize};

use super::{Method, Plan};
use crate::error::{LabError, Result};
use crate::recipe::Recipe;

/// The name of a method, built in or of another crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MethodName {
    /// A built-in method.
    BuiltIn(Method),
    /// A method of another crate, which implements [`Pretext`](super::Pretext).
    Custom(String),
}

impl MethodName {
    /// Returns the built-in method of this name.
    ///
    /// # Errors
    /// If the method is not built in. The message lists the built-in methods.
    pub fn built_in(&self) -> Result<Method> {
        match self {
            Self::BuiltIn(method) => Ok(*method),
            Self::Custom(name) => Err(name.parse::<Method>().map_or_else(LabError::Usage, |_| {
                LabError::Usage(format!("`{name}` is the name of a built-in method: choose another name"))
            })),
        }
    }

    /// Returns the training plan of a built-in method; `None` for a method that trains nothing or is of another crate.
    pub fn plan(&self, recipe: &Recipe) -> Option<Plan> {
        self.built_in().ok()?.plan(recipe)
    }

    /// Returns the images that a built-in method trains on.
    pub fn images<'a>(&self, recipe: &Recipe, splits: &'a Splits) -> &'a ImageSet {
        self.plan(recipe).map_or(&splits.train, |plan| plan.images(splits))
    }
}

impl PartialEq<Method> for MethodName {
    fn eq(&self, other: &Method) -> bool {
        matches!(self, Self::BuiltIn(method) if method == other)
    }
}

impl From<Method> for MethodName {
    fn from(method: Method) -> Self {
        Self::BuiltIn(method)
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(method) => f.pad(method.as_str()),
            Self::Custom(name) => f.pad(name),
        }
    }
}

impl TryFrom<String> for MethodName {
    type Error = String;

    /// Accepts letters, digits, `_` and `-`, because names of folders and files start with the name of the method.
    fn try_from(name: String) -> std::result::Result<Self, String> {
        match name.parse::<Method>() {
            Ok(method) => Ok(Self::BuiltIn(method)),
            Err(problem) => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 64;
                if named && name.chars().all(allowed) { Ok(Self::Custom(name)) } else { Err(problem) }
            }
        }
    }
}

impl From<MethodName> for String {
    fn from(name: MethodName) -> String {
        name.to_string()
    }
}

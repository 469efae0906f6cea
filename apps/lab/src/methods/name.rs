//! What a recipe calls its method.

use std::fmt;

use qare_data::{ImageSet, Splits};
use serde::{Deserialize, Serialize};

use super::{Method, Plan};
use crate::error::{LabError, Result};
use crate::recipe::Recipe;

/// The name of a method: one that comes with this crate, or one of another crate's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MethodName {
    /// One of this crate's.
    BuiltIn(Method),
    /// The name of a method that implements [`Pretext`](super::Pretext) elsewhere.
    Own(String),
}

impl MethodName {
    /// The method of this crate that it is.
    ///
    /// # Errors
    /// If it is none, with the names of those that are.
    pub fn built_in(&self) -> Result<Method> {
        match self {
            Self::BuiltIn(method) => Ok(*method),
            Self::Own(name) => Err(name.parse::<Method>().map_or_else(LabError::Usage, |_| {
                LabError::Usage(format!("`{name}` is the name of a method that comes with qare: choose another"))
            })),
        }
    }

    /// How a method of this crate trains; `None` for one that trains nothing or is of another crate.
    pub fn plan(&self, recipe: &Recipe) -> Option<Plan> {
        self.built_in().ok()?.plan(recipe)
    }

    /// The images that the method trains on, of one of this crate.
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
            Self::Own(name) => f.pad(name),
        }
    }
}

impl TryFrom<String> for MethodName {
    type Error = String;

    /// Names of folders and files begin with it: letters, digits, `_` and `-`.
    fn try_from(name: String) -> std::result::Result<Self, String> {
        match name.parse::<Method>() {
            Ok(method) => Ok(Self::BuiltIn(method)),
            Err(problem) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 64;
                if named && name.chars().all(fits) { Ok(Self::Own(name)) } else { Err(problem) }
            }
        }
    }
}

impl From<MethodName> for String {
    fn from(name: MethodName) -> String {
        name.to_string()
    }
}

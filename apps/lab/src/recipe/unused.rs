//! Settings that a method does not use.

use super::Recipe;
use crate::methods::{Method, MethodName};

/// Settings that only some built-in methods use, and these methods.
const USED_BY: [(&str, &[Method]); 11] = [
    ("alpha", &[Method::SimclrQare, Method::SparseclrQare]),
    ("beta", &[Method::SimclrQare, Method::SparseclrQare]),
    ("similarity_floor", &[Method::SimclrQare, Method::SparseclrQare]),
    ("set_term", &[Method::SimclrQare, Method::SparseclrQare]),
    ("temperature", &[Method::Simclr, Method::SimclrQare]),
    ("margin", &[Method::Sparseclr, Method::SparseclrQare]),
    ("aggregation", &[Method::Relationnet]),
    ("clusters", &[Method::Deepcluster]),
    ("momentum", &[Method::Standard]),
    ("infomax", &[Method::Deepinfomax]),
    (
        "augment_on",
        &[Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare, Method::Relationnet],
    ),
];

impl Recipe {
    /// Returns the settings that the recipe's method does not use. For a method of another crate the list is empty.
    pub fn unused(&self) -> Vec<&'static str> {
        let MethodName::BuiltIn(method) = &self.method else { return Vec::new() };
        USED_BY.iter().filter(|(_, users)| !users.contains(method)).map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_settings_are_no_differences() {
        let of = |method: Method, alpha| Recipe { method: method.into(), alpha, ..Recipe::default() };
        assert!(of(Method::Simclr, 0.3).differences(&of(Method::Simclr, 1.0)).is_empty());
        assert_eq!(of(Method::SimclrQare, 0.3).differences(&of(Method::SimclrQare, 1.0)).len(), 1);
        assert!(of(Method::Simclr, 1.0).unused().contains(&"beta"));
        assert!(!of(Method::Simclr, 1.0).unused().contains(&"temperature"));
        let custom = Recipe { method: MethodName::Custom("own".into()), ..Recipe::default() };
        assert!(custom.unused().is_empty());
    }

    #[test]
    fn every_listed_setting_exists() {
        let table = toml::Table::try_from(Recipe { clusters: Some(3), ..Recipe::default() }).unwrap();
        for (name, _) in USED_BY {
            assert!(table.contains_key(name), "{name}");
        }
    }
}

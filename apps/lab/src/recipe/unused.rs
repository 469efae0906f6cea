//! Settings that a method does not use.

use super::Recipe;
use crate::methods::{Method, MethodName};

/// Settings that only some built-in methods use, and these methods.
///
/// The methods of metric learning list theirs themselves, in `MetricMethod::settings`.
const USED_BY: [(&str, &[Method]); 22] = [
    ("K", &[Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare, Method::Relationnet]),
    ("alpha", &[Method::SimclrQare, Method::SparseclrQare]),
    ("beta", &[Method::SimclrQare, Method::SparseclrQare]),
    ("similarity_floor", &[Method::SimclrQare, Method::SparseclrQare]),
    ("set_term", &[Method::SimclrQare, Method::SparseclrQare]),
    ("temperature", &[Method::Simclr, Method::SimclrQare]),
    ("margin", &[Method::Sparseclr, Method::SparseclrQare]),
    ("images_per_identity", &[]),
    ("triplets", &[]),
    ("positive_margin", &[]),
    ("scale", &[]),
    ("positive_scale", &[]),
    ("negative_scale", &[]),
    ("base_similarity", &[]),
    ("proxy_rate", &[]),
    ("validation_share", &[]),
    ("aggregation", &[Method::Relationnet]),
    ("clusters", &[Method::Deepcluster]),
    ("momentum", &[Method::Standard]),
    ("infomax", &[Method::Deepinfomax]),
    (
        "source_size",
        &[Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare, Method::Relationnet],
    ),
    (
        "augment_on",
        &[Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare, Method::Relationnet],
    ),
];

impl Recipe {
    /// Returns the settings that the recipe's method does not use. For a method of another crate the list is empty.
    pub fn unused(&self) -> Vec<&'static str> {
        let MethodName::BuiltIn(method) = &self.method else { return Vec::new() };
        let of_metric = match method {
            Method::Metric(method) => method.settings(),
            _ => Vec::new(),
        };
        let is_used = |name: &str, users: &[Method]| users.contains(method) || of_metric.contains(&name);
        USED_BY.iter().filter(|(name, users)| !is_used(name, users)).map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::SourceSize;

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
        let table = toml::Table::try_from(Recipe {
            clusters: Some(3),
            proxy_rate: Some(2.0),
            source_size: Some(SourceSize::Square),
            positive_margin: Some(0.1),
            scale: Some(9.0),
            positive_scale: Some(3.0),
            negative_scale: Some(40.0),
            base_similarity: Some(0.4),
            ..Recipe::default()
        })
        .unwrap();
        for (name, _) in USED_BY {
            assert!(table.contains_key(name), "{name}");
        }
    }
}

use std::collections::HashMap;
use std::hash::Hash;

use crate::error::RetrievalError;

/// Computes the normalised mutual information of labels `[N]` and clusters `[N]`, from 0 to 1: I(L; C) / ((H(L) + H(C)) / 2).
///
/// It is 1 if there is but one label and one cluster, and 0 if only one of both is single.
///
/// # Errors
/// If there are not as many clusters as labels.
pub fn normalized_mutual_information(labels: &[u32], clusters: &[u32]) -> Result<f64, RetrievalError> {
    if labels.len() != clusters.len() {
        return Err(RetrievalError::Size { what: "clusters", found: clusters.len(), expected: labels.len() });
    }
    let of_labels = entropy(labels.iter());
    let of_clusters = entropy(clusters.iter());
    let of_both = entropy(labels.iter().zip(clusters));
    if of_labels + of_clusters == 0.0 {
        return Ok(1.0);
    }
    // I(L; C) = H(L) + H(C) − H(L, C); rounding may leave less than nothing.
    Ok((2.0 * (of_labels + of_clusters - of_both) / (of_labels + of_clusters)).clamp(0.0, 1.0))
}

/// The entropy −Σ p log p of how often each value occurs.
fn entropy<T: Eq + Hash>(values: impl Iterator<Item = T>) -> f64 {
    let mut counts: HashMap<T, u32> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    // Sorted, so that the sum does not depend on the order in the map.
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable();
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    // H = Σ c/N · log(N/c), exactly 0 for a single value.
    counts.into_iter().map(|count| f64::from(count) / total * (total / f64::from(count)).ln()).sum()
}

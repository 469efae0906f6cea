//! Tests whether samples come from a distribution.
//!
//! Bounds are five standard deviations of the mean. A correct implementation fails for about one seed in a million, and the seeds are
//! fixed.

const SIGMAS: f64 = 5.0;

/// Asserts that the share of hits is about the expected one.
pub fn assert_share(hits: usize, of: usize, probability: f64, what: &str) {
    let share = hits as f64 / of as f64;
    let sigma = (probability * (1.0 - probability) / of as f64).sqrt();
    assert!((share - probability).abs() < SIGMAS * sigma, "{what}: {share}, expected {probability} ± {sigma}");
}

/// Asserts with the test of Kolmogorov and Smirnov that values are uniform between two bounds.
pub fn assert_uniform(values: impl Iterator<Item = f64>, low: f64, high: f64, slack: f64, what: &str) {
    let mut places: Vec<f64> = values.map(|value| (value - low) / (high - low)).collect();
    places.sort_by(f64::total_cmp);
    let count = places.len() as f64;
    assert!(places[0] >= -slack && places[places.len() - 1] <= 1.0 + slack, "{what} leaves its bounds");
    let distance = places
        .iter()
        .enumerate()
        .map(|(rank, &place)| (place - rank as f64 / count).abs().max((place - (rank + 1) as f64 / count).abs()))
        .fold(0.0, f64::max);
    // 1.95 / √n is exceeded by one sample in a thousand, 2.5 / √n by one in a hundred thousand.
    assert!(distance < 2.5 / count.sqrt() + slack, "{what}: distance {distance} from uniform");
}

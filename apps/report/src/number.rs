//! Numbers as text.

/// Formats a number with four significant digits, without superfluous zeros.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { "–".into() };
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&exponent) {
        return format!("{value:.2e}");
    }
    let decimals = (3 - exponent).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Formats a coordinate with at most one decimal.
pub(crate) fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// Rounds a number to five significant digits, so that it takes few bytes.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// Returns mean and standard deviation (divisor n − 1); the latter of at least two values.
pub(crate) fn mean_and_deviation(values: &[f64]) -> Option<(f64, Option<f64>)> {
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (1234.5678, "1235"), (0.5, "0.5"), (47.6, "47.6"), (1e-3, "0.001"), (3.0e-7, "3.00e-7")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!((place(3.04), place(3.25), place(-7.0)), ("3".into(), "3.2".into(), "-7".into()));
        assert_eq!(rounded(123_456.789), 123_460.0);
    }

    #[test]
    fn deviations_are_those_of_the_sample() {
        let (mean, deviation) = mean_and_deviation(&[47.0, 48.0, 52.0]).unwrap();
        assert!((mean - 49.0).abs() < 1e-12 && (deviation.unwrap() - 7f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_deviation(&[3.0]), Some((3.0, None)));
        assert_eq!(mean_and_deviation(&[]), None);
    }
}

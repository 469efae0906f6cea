//! Suggestions for misspelt names.

/// Returns the known name that is nearest to an unknown one, if one is near.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if let Some(same) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some(same);
    }
    let similarity = |known: &str| strsim::jaro(known, name);
    let nearest = known.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(nearest) > 0.8).then_some(nearest)
}

/// Returns the end of a message about an unknown name: the nearest name and all known names.
pub fn advice(name: &str, known: &[&str]) -> String {
    let suggestion = nearest(name, known).map_or(String::new(), |nearest| format!(" did you mean `{nearest}`?"));
    format!(";{suggestion} known are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known = ["simclr", "simclr_qare", "K", "epochs"];
        for (name, expected) in [
            ("simclr_qar", Some("simclr_qare")),
            ("k", Some("K")),
            ("epoch", Some("epochs")),
            ("moco", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
        assert_eq!(advice("moco", &known), "; known are simclr, simclr_qare, K, epochs");
        assert_eq!(advice("Simclr", &known[..2]), "; did you mean `simclr`? known are simclr, simclr_qare");
    }
}

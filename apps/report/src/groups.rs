//! Runs of other seeds, and what differs between the others.

use crate::escape::shortened;
use crate::report::Run;

/// Runs with equal settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// A name that tells it from the other groups.
    pub name: String,
    /// The indices of its runs.
    pub runs: Vec<usize>,
}

/// Puts runs with equal settings together, in the order of their first runs.
pub(crate) fn groups(runs: &[Run]) -> Vec<Group> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match groups.iter_mut().find(|group| runs[group[0]].settings == run.settings) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    let differing = differing(runs);
    let name = |group: &Vec<usize>| {
        let run = &runs[group[0]];
        let parts = differing.iter().map(|key| match (key.as_str(), value(run, key)) {
            // These speak for themselves.
            ("method" | "dataset" | "backbone", Some(value)) => value.to_string(),
            (key, Some(value)) => format!("{key} {value}"),
            (key, None) => format!("no {key}"),
        });
        let name = parts.collect::<Vec<_>>().join(", ");
        if name.is_empty() { value(run, "method").unwrap_or(&run.name).to_string() } else { shortened(&name, 60) }
    };
    groups.iter().map(|group| Group { name: name(group), runs: group.clone() }).collect()
}

/// Returns the value of a setting.
pub(crate) fn value<'a>(run: &'a Run, key: &str) -> Option<&'a str> {
    run.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Returns the names of the settings that differ between runs, in their order.
pub(crate) fn differing(runs: &[Run]) -> Vec<String> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.settings) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let differs = |name: &&String| runs.iter().any(|run| value(run, name) != value(&runs[0], name));
    names.into_iter().filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(settings: &[(&str, &str)]) -> Run {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Run { name: "folder".into(), settings, ..Default::default() }
    }

    #[test]
    fn groups_are_named_by_what_differs() {
        let runs = [
            run(&[("method", "simclr"), ("epochs", "2")]),
            run(&[("method", "simclr_qare"), ("epochs", "2"), ("beta", "0.5")]),
            run(&[("method", "simclr"), ("epochs", "2")]),
        ];
        let found = groups(&runs);
        assert_eq!(found[0], Group { name: "simclr, no beta".into(), runs: vec![0, 2] });
        assert_eq!(found[1].name, "simclr_qare, beta 0.5");
        assert_eq!(groups(&runs[..1])[0].name, "simclr");
        assert_eq!(groups(&[run(&[])])[0].name, "folder");
        assert!(groups(&[]).is_empty());
    }
}

//! Says what was taken from a file, and what was left out.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::candidate::Candidate;
use super::{FoundBackbone, LeftOut};

/// Groups of tensors that the line names.
const SHOWN: usize = 4;

/// The tensors besides those of the chosen backbone, in groups: a group for each other backbone, and for the rest one for
/// each prefix beside a backbone.
pub(super) fn left_out(
    names: &BTreeMap<String, &str>,
    chosen: &Candidate,
    fitting: &[&Candidate],
    taken: &HashSet<&str>,
) -> Vec<LeftOut> {
    let mut seen: HashSet<&str> = taken.clone();
    let mut groups: BTreeMap<String, LeftOut> = BTreeMap::new();
    for other in fitting.iter().filter(|other| !std::ptr::eq(**other, chosen)) {
        let tensors = other.found.values().filter(|name| seen.insert(name)).count();
        if tensors > 0 {
            let prefix = super::prefix_in_file(other);
            groups.insert(prefix.clone(), LeftOut { prefix, tensors, backbone: Some(other.name) });
        }
    }
    let others: Vec<&Candidate> = fitting.iter().copied().filter(|other| !std::ptr::eq(*other, chosen)).collect();
    for (plain, name) in names.iter().filter(|(_, name)| !seen.contains(*name)) {
        // Beside another backbone it goes by what is beside that one: its head is not the chosen one's.
        let beside = std::iter::once(chosen)
            .chain(others.iter().copied())
            .filter(|candidate| plain.starts_with(candidate.prefix))
            .max_by_key(|candidate| candidate.prefix.len());
        let base = beside.map_or_else(|| common_parts(plain, chosen.prefix), |candidate| candidate.prefix.len());
        let end = plain[base..].find('.').map_or(plain.len(), |dot| base + dot);
        // As the file names it, where the plain name is an end of that.
        let group = match name.strip_suffix(&plain[end..]) {
            Some(group) => group,
            None => &plain[..end],
        };
        let new = || LeftOut { prefix: group.to_owned(), tensors: 0, backbone: None };
        groups.entry(group.to_owned()).or_insert_with(new).tensors += 1;
    }
    let mut groups: Vec<LeftOut> = groups.into_values().collect();
    groups.sort_by(|one, other| {
        let key = |group: &LeftOut| (group.backbone.is_none(), std::cmp::Reverse(group.tensors));
        key(one).cmp(&key(other))
    });
    groups
}

/// The length of the whole parts, with their dots, that a name shares with a prefix.
fn common_parts(name: &str, prefix: &str) -> usize {
    let parts = name.split_inclusive('.').zip(prefix.split_inclusive('.'));
    parts.take_while(|(one, other)| one == other).map(|(part, _)| part.len()).sum()
}

impl fmt::Display for FoundBackbone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "{} ({} tensors)", self.name, self.taken)?,
            prefix => write!(f, "{} ({} tensors under `{prefix}`)", self.name, self.taken)?,
        }
        let shown = &self.left_out[..self.left_out.len().min(SHOWN)];
        for (index, group) in shown.iter().enumerate() {
            f.write_str(if index == 0 { "; left out: " } else { ", " })?;
            write!(f, "{group}")?;
        }
        match &self.left_out[shown.len()..] {
            [] => Ok(()),
            [one] => write!(f, ", {one}"),
            more => {
                let tensors: usize = more.iter().map(|group| group.tensors).sum();
                write!(f, " and {tensors} tensors under {} other names", more.len())
            }
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.prefix.as_str() {
            "" => "the top level".to_owned(),
            prefix => format!("`{prefix}`"),
        };
        match (self.backbone, self.tensors) {
            (Some(backbone), _) => write!(f, "{prefix} (another {backbone})"),
            (None, 1) => f.write_str(&prefix),
            (None, tensors) => write!(f, "{prefix} ({tensors} tensors)"),
        }
    }
}

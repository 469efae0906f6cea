//! Prefixes in a file that may lead to a backbone, and how well the tensors under them match one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::naming::{Naming, by_modules, root_of};
use crate::BackboneName;
use crate::weights::layout::{LAYOUTS, Layout};
use crate::weights::path::is_batch_counter;
use crate::weights::state_dict::StateDict;

/// Prefixes that are examined: those with the most tensors of names that backbones have.
const MOST_ROOTS: usize = 32;

/// A prefix that may lead to a backbone.
pub(super) struct Root<'a> {
    /// The start of the plain names of its tensors: empty, or with a dot at its end.
    pub prefix: &'a str,
    pub naming: Naming,
}

/// The prefixes that may lead to backbones, the likeliest first. `names` maps plain names to those of the file.
pub(super) fn roots<'a>(names: &'a BTreeMap<String, &'a str>) -> Vec<Root<'a>> {
    let mut votes: HashMap<(&str, Naming), usize> = HashMap::new();
    for (prefix, naming) in names.keys().filter_map(|name| root_of(name)) {
        *votes.entry((prefix, naming)).or_default() += 1;
    }
    let mut roots: Vec<_> = votes.into_iter().collect();
    roots.sort_by_key(|((prefix, naming), votes)| (Reverse(*votes), prefix.len(), *prefix, *naming == Naming::Places));
    roots.truncate(MOST_ROOTS);
    roots.into_iter().map(|((prefix, naming), _)| Root { prefix, naming }).collect()
}

/// A backbone compared with the tensors under a prefix.
pub(super) struct Candidate<'a> {
    pub prefix: &'a str,
    pub name: BackboneName,
    /// Names in the file by names of the backbone's tensors.
    pub found: BTreeMap<&'static str, &'a str>,
    /// Parameters and statistics of the backbone that the file lacks, with their shapes.
    pub missing: Vec<(&'static str, &'static [usize])>,
    /// Tensors of other shapes or types: names of the backbone's and of the file's.
    pub wrong: Vec<(&'static str, &'a str)>,
    /// Names in the file of tensors that belong to the network and are none of the backbone's.
    pub extra: Vec<&'a str>,
}

impl<'a> Candidate<'a> {
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty() && self.extra.is_empty()
    }

    /// How many tensors match, less the differences.
    pub fn nearness(&self) -> i64 {
        let differences = self.missing.len() + self.wrong.len() + self.extra.len();
        2 * self.found.len() as i64 + self.wrong.len() as i64 - differences as i64
    }

    /// Whether enough matches to report the differences.
    pub fn is_near(&self) -> bool {
        let known = self.found.len() + self.wrong.len();
        known > self.missing.len() / 2
    }
}

/// All backbones compared with the tensors under a prefix.
pub(super) fn candidates<'a>(
    state: &StateDict,
    names: &'a BTreeMap<String, &'a str>,
    root: &Root<'a>,
) -> Vec<Candidate<'a>> {
    let rests: Vec<(&str, &str)> = names
        .range(root.prefix.to_owned()..)
        .map_while(|(plain, name)| plain.strip_prefix(root.prefix).map(|rest| (rest, *name)))
        .collect();
    LAYOUTS.iter().map(|layout| candidate(state, &rests, root, layout)).collect()
}

fn candidate<'a>(
    state: &StateDict,
    rests: &[(&'a str, &'a str)],
    root: &Root<'a>,
    layout: &'static Layout,
) -> Candidate<'a> {
    let placed = match root.naming {
        Naming::Class => HashMap::new(),
        Naming::Places => by_modules(rests.iter().map(|(rest, _)| *rest), &layout.modules),
    };
    let present: HashMap<&str, &str> =
        rests.iter().map(|(rest, name)| (placed.get(rest).map_or(*rest, String::as_str), *name)).collect();

    let mut candidate = Candidate {
        prefix: root.prefix,
        name: layout.name,
        found: BTreeMap::new(),
        missing: Vec::new(),
        wrong: Vec::new(),
        extra: Vec::new(),
    };
    for (wanted, shape) in &layout.tensors {
        match present.get(wanted.as_str()) {
            None if is_batch_counter(wanted) => {}
            None => candidate.missing.push((wanted, shape)),
            Some(name) => {
                let found = state.shape(name).unwrap_or_default();
                let fits = found == shape || (is_batch_counter(wanted) && found == [1]);
                match fits && state.has_right_type(name) {
                    true => _ = candidate.found.insert(wanted, name),
                    false => candidate.wrong.push((wanted, name)),
                }
            }
        }
    }
    let known: HashSet<&str> = layout.tensors.iter().map(|(name, _)| name.as_str()).collect();
    let extra = rests.iter().filter(|(rest, name)| {
        let within = placed.get(rest).map_or(*rest, String::as_str);
        let module = within.split('.').next().unwrap_or_default();
        let of_network = layout.modules.iter().any(|known| known == module) || is_layer(module);
        // A module after the last one: a convolution is of the network, a linear layer is its head.
        let is_later = root.naming == Naming::Places
            && !placed.contains_key(rest)
            && module.bytes().all(|byte| byte.is_ascii_digit())
            && state.shape(name).is_some_and(|shape| shape.len() > 2);
        (of_network && !known.contains(within)) || is_later
    });
    candidate.extra = extra.map(|(_, name)| *name).collect();
    candidate
}

/// Whether it is the name of a stage, such as `layer4`.
fn is_layer(module: &str) -> bool {
    module.strip_prefix("layer").is_some_and(|number| number.parse::<u8>().is_ok())
}

//! Names of tensors in nested dictionaries, lists and tuples.

use std::collections::BTreeMap;

use qare_pickle::Value;

use super::saved::{Node, Saved};
use crate::weights::path::WRAPPERS;

/// Levels of containers, at most.
const DEPTH: usize = 32;
/// Items of containers, at most: those of containers that hold each other have no end.
const ITEMS: usize = 1_000_000;
const MOST_TENSORS: usize = 200_000;
/// Bytes of a name, and of all of them.
const LONGEST: usize = 1_000;
const TOO_LONG: &str = "it has a name of more than 1000 bytes";
const LONGEST_IN_ALL: usize = 32 << 20;

/// The tensors that a value of a pickle holds, by names joined with dots. An optimizer's state is left out.
pub(super) fn names_of(saved: &Saved, root: Value) -> Result<BTreeMap<String, usize>, String> {
    let mut names = Names { saved, found: BTreeMap::new(), items: ITEMS, bytes: LONGEST_IN_ALL };
    names.collect(root, "", DEPTH)?;
    Ok(names.found)
}

struct Names<'a> {
    saved: &'a Saved<'a>,
    found: BTreeMap<String, usize>,
    /// Items that may still be visited.
    items: usize,
    /// Bytes that names may still take.
    bytes: usize,
}

impl Names<'_> {
    fn collect(&mut self, value: Value, prefix: &str, depth: usize) -> Result<(), String> {
        match self.saved.node(value) {
            Node::Dict(dict) => {
                self.items = self.items.checked_sub(dict.len()).ok_or("its dictionaries have no end")?;
                if !dict.is_of_pairs() {
                    return Err("it makes a dictionary of what are no pairs".to_owned());
                }
                // An optimizer's state_dict, under whatever key.
                let has = |name| dict.iter().any(|(key, _)| self.saved.is(key, name));
                if has("state") && has("param_groups") {
                    return Ok(());
                }
                for (key, value) in dict.iter() {
                    match (key, self.saved.node(value)) {
                        (_, Node::Other) => {}
                        (Value::Text(span), _) if span.len() > LONGEST => return Err(TOO_LONG.to_owned()),
                        (Value::Text(_), _) => {
                            if let Some(key) = self.saved.pickle.text(key) {
                                self.item(key, value, prefix, depth)?;
                            }
                        }
                        // A number is no name of a tensor.
                        (Value::Int(number), Node::Dict(_) | Node::Sequence(_)) => {
                            self.item(&number.to_string(), value, prefix, depth)?;
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            Node::Sequence(items) => {
                self.items = self.items.checked_sub(items.len()).ok_or("its lists have no end")?;
                for (index, value) in items.iter().enumerate() {
                    if !matches!(self.saved.node(*value), Node::Other) {
                        self.item(&index.to_string(), *value, prefix, depth)?;
                    }
                }
                Ok(())
            }
            Node::Tensor(_) | Node::Other => Ok(()),
        }
    }

    fn item(&mut self, key: &str, value: Value, prefix: &str, depth: usize) -> Result<(), String> {
        if prefix.len() + key.len() > LONGEST {
            return Err(TOO_LONG.to_owned());
        }
        let mut bare = key;
        while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)?.strip_prefix('.')) {
            bare = inner;
        }
        let joined = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match self.saved.node(value) {
            Node::Tensor(tensor) => {
                // A tensor under the name with the wrapper and another under the name without.
                let mut name = joined(bare);
                if self.found.contains_key(&name) {
                    name = joined(key);
                }
                if self.found.len() == MOST_TENSORS {
                    return Err(format!("it has more than {MOST_TENSORS} tensors"));
                }
                self.bytes = self.bytes.checked_sub(name.len()).ok_or("the names of its tensors are too long")?;
                match self.found.insert(name.clone(), tensor) {
                    Some(_) => Err(format!("it has two tensors `{name}`")),
                    None => Ok(()),
                }
            }
            _ if depth == 0 => Err("its containers are nested too deeply".to_owned()),
            _ => self.collect(value, &joined(bare), depth - 1),
        }
    }
}

//! The names of tensors in dictionaries, lists and tuples that hold each other.

use std::collections::BTreeMap;

use super::pickle::{Container, Pickle, Value};
use crate::weights::path::WRAPPERS;

/// Containers in containers, at most.
const DEPTH: usize = 32;
/// Items that are looked at: containers that hold each other have no end.
const ITEMS: usize = 1_000_000;
const MOST_TENSORS: usize = 200_000;
/// Bytes of a name, and of all of them.
const LONGEST: usize = 1_000;
const TOO_LONG: &str = "it has a name of more than 1000 bytes";
const LONGEST_IN_ALL: usize = 32 << 20;

/// The tensors that a value of a pickle holds, by names joined with dots. An optimizer's state is left out.
pub(super) fn names_of(pickle: &Pickle, root: Value) -> Result<BTreeMap<String, usize>, String> {
    let mut names = Names { pickle, found: BTreeMap::new(), items: ITEMS, bytes: LONGEST_IN_ALL };
    names.collect(root, "", DEPTH)?;
    Ok(names.found)
}

struct Names<'a> {
    pickle: &'a Pickle<'a>,
    found: BTreeMap<String, usize>,
    /// How many items may still be looked at.
    items: usize,
    /// How many bytes of names may still be kept.
    bytes: usize,
}

impl Names<'_> {
    fn collect(&mut self, value: Value, prefix: &str, depth: usize) -> Result<(), String> {
        match self.pickle.container(value) {
            None => Ok(()),
            Some(Container::Dict(items)) => {
                self.items = self.items.checked_sub(items.len()).ok_or("its dictionaries have no end")?;
                // What an optimizer's state_dict has, whatever the name it was saved under.
                let has = |name| items.iter().any(|(key, _)| self.pickle.is(*key, name));
                if has("state") && has("param_groups") {
                    return Ok(());
                }
                for (key, value) in items {
                    match *key {
                        _ if !matches!(value, Value::Tensor(_) | Value::Container(_)) => {}
                        Value::Text(span) if span.len() > LONGEST => return Err(TOO_LONG.to_owned()),
                        Value::Text(span) => self.item(self.pickle.span(span), *value, prefix, depth)?,
                        // A number is no name of a tensor.
                        Value::Int(number) if matches!(value, Value::Container(_)) => {
                            self.item(&number.to_string(), *value, prefix, depth)?;
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            Some(Container::List(items) | Container::Tuple(items)) => {
                self.items = self.items.checked_sub(items.len()).ok_or("its lists have no end")?;
                for (index, value) in items.iter().enumerate() {
                    if matches!(value, Value::Tensor(_) | Value::Container(_)) {
                        self.item(&index.to_string(), *value, prefix, depth)?;
                    }
                }
                Ok(())
            }
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
        match value {
            Value::Tensor(tensor) => {
                // Both with and without a wrapper, they are two.
                let mut name = joined(bare);
                if self.found.contains_key(&name) {
                    name = joined(key);
                }
                if self.found.len() == MOST_TENSORS {
                    return Err(format!("it has more than {MOST_TENSORS} tensors"));
                }
                self.bytes = self.bytes.checked_sub(name.len()).ok_or("the names of its tensors are too long")?;
                match self.found.insert(name.clone(), tensor as usize) {
                    Some(_) => Err(format!("it has two tensors `{name}`")),
                    None => Ok(()),
                }
            }
            _ if depth == 0 => Err("its containers are nested too deeply".to_owned()),
            value => self.collect(value, &joined(bare), depth - 1),
        }
    }
}

//! The storages that a pickle of `torch.save` names. Their numbers are outside of the pickle.

use std::collections::HashMap;

use qare_pickle::{Pickle, Value};

use super::saved::{SavedError, size};
use crate::weights::element::Element;

/// Bytes of a storage's key. PyTorch's are numbers.
const LONGEST_KEY: usize = 100;

/// The name of a storage.
#[derive(Debug)]
pub(super) struct StorageName {
    /// A text of UTF-8, or none where a tensor has no storage that could be read.
    pub key: Value,
    pub element: Element,
    /// Number of elements.
    pub elements: usize,
}

/// The storages that a pickle names, each once, and which of them each of its persistent objects is.
pub(super) fn storages(pickle: &Pickle) -> Result<(Vec<StorageName>, Vec<Option<usize>>), SavedError> {
    let mut storages: Vec<StorageName> = Vec::new();
    let mut of_persistent = Vec::with_capacity(pickle.persistent().len());
    let mut known: HashMap<&str, usize> = HashMap::new();
    for persistent in pickle.persistent() {
        let inconsistent = |expected| SavedError::Inconsistent { expected, offset: persistent.offset };
        let Some(name) = name(pickle, persistent.id).map_err(inconsistent)? else {
            of_persistent.push(None);
            continue;
        };
        let key = pickle.text(name.key).ok_or_else(|| inconsistent("a storage's key in UTF-8"))?;
        let index = *known.entry(key).or_insert(storages.len());
        match storages.get(index) {
            None => storages.push(name),
            Some(first) if first.element == name.element && first.elements == name.elements => {}
            Some(_) => return Err(inconsistent("one type and size for each storage")),
        }
        of_persistent.push(Some(index));
    }
    Ok((storages, of_persistent))
}

/// The storage that is named ("storage", class, key, device, elements, …). A legacy file names the source code of classes
/// in the same way, which is none.
fn name(pickle: &Pickle, id: Value) -> Result<Option<StorageName>, &'static str> {
    let parts = match id {
        Value::Tuple(_) => pickle.items(id).unwrap_or_default(),
        _ => &[],
    };
    let Some(what @ Value::Text(_)) = parts.first() else { return Err("the name of a storage") };
    if pickle.bytes(*what) != Some(b"storage") {
        return Ok(None);
    }
    let [_, class, key @ Value::Text(span), _, elements, rest @ ..] = parts else {
        return Err("a storage's class, key, device and size");
    };
    let element = pickle.global(*class).and_then(|(module, name)| element(module, name));
    let element = element.ok_or("a storage's class, key, device and size")?;
    // Written by PyTorch before 0.4 where storages share memory.
    if rest.first().is_some_and(|view| *view != Value::None) {
        return Err("storages that are no views of others (save the file with a newer PyTorch)");
    }
    match span.len() <= LONGEST_KEY {
        true => Ok(Some(StorageName { key: *key, element, elements: size(*elements)? })),
        false => Err("a short name of a storage"),
    }
}

/// The element of one of PyTorch's classes of storages.
fn element(module: &[u8], name: &[u8]) -> Option<Element> {
    if module != b"torch" && !module.starts_with(b"torch.") {
        return None;
    }
    Some(match name.strip_suffix(b"Storage")? {
        b"Double" => Element::Float64,
        b"Float" => Element::Float32,
        b"Half" => Element::Float16,
        b"BFloat16" => Element::BFloat16,
        b"Long" => Element::Int64,
        b"Int" => Element::Int32,
        b"Short" => Element::Int16,
        b"Char" => Element::Int8,
        b"Byte" | b"Untyped" => Element::UInt8,
        b"Bool" => Element::Bool,
        b"ComplexFloat" => Element::Complex64,
        b"ComplexDouble" => Element::Complex128,
        _ => Element::Unknown,
    })
}

//! One file of the python version of CIFAR-10 or CIFAR-100.
//!
//! Each file is a pickle that Python 2 wrote with protocol 2: a dictionary whose `data` is a numpy array of images × 3072
//! bytes (planar pixels) and which has a list of integers for each kind of label. The pickle reader knows no numpy; it puts
//! the state an object is rebuilt from in the object's place, and the state of an array is
//! `(version, shape, type, column order, raw bytes)`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_pickle::{DeOptions, HashableValue, Value};

use crate::cifar::{Archive, IMAGE_SIZE, LabelKind, Part};
use crate::error::DataError;

/// Reads one file of so many images, or finds all that is wrong with it.
pub(crate) fn read(path: &Path, images: usize, archive: &Archive) -> Result<Part, Vec<DataError>> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let mut entries = Entries::read(path, archive).map_err(|error| vec![error])?;
    let mut problems = Vec::new();
    let mut labels = Vec::with_capacity(archive.labels.len());
    for kind in archive.labels {
        match entries.take(kind.entry).and_then(|list| read_labels(list, kind, images, &mut problems)) {
            Ok(kind) => labels.push(kind),
            Err(problem) => problems.push(problem),
        }
    }
    match entries.take("data").and_then(|array| read_pixels(array, images)) {
        Ok(pixels) if problems.is_empty() => return Ok(Part { pixels, labels }),
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
    Err(problems.into_iter().map(bad).collect())
}

/// Reads a list of names, as the file `meta` has them.
pub(crate) fn read_names(path: &Path, entry: &str, archive: &Archive) -> Result<Vec<String>, DataError> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let Value::List(names) = Entries::read(path, archive)?.take(entry).map_err(bad)? else {
        return Err(bad(format!("entry `{entry}` is no list")));
    };
    let name = |name| match name {
        Value::Bytes(name) => Ok(String::from_utf8_lossy(&name).into_owned()),
        Value::String(name) => Ok(name),
        other => Err(bad(format!("entry `{entry}` has {other}, which is no name"))),
    };
    names.into_iter().map(name).collect()
}

/// The dictionary of a file.
struct Entries(BTreeMap<HashableValue, Value>);

impl Entries {
    fn read(path: &Path, archive: &Archive) -> Result<Self, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        let options = DeOptions::new().keep_restore_state().replace_unresolved_globals();
        // The reader's own message names the byte offset.
        let problem = match serde_pickle::value_from_slice(&bytes, options) {
            Ok(Value::Dict(entries)) => return Ok(Self(entries)),
            Ok(_) => "the pickle is no dictionary".into(),
            Err(error) => format!("damaged pickle of {} bytes: {}", bytes.len(), printable(&error.to_string())),
        };
        Err(DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem })
    }

    fn take(&mut self, name: &str) -> Result<Value, String> {
        self.0
            .remove(&HashableValue::Bytes(name.as_bytes().to_vec()))
            .or_else(|| self.0.remove(&HashableValue::String(name.to_owned())))
            .ok_or_else(|| format!("the dictionary has no entry `{name}`"))
    }
}

/// The beginning of a message that may quote any bytes of the file.
fn printable(message: &str) -> String {
    message.chars().take(80).flat_map(char::escape_debug).collect()
}

fn read_labels(list: Value, kind: &LabelKind, images: usize, problems: &mut Vec<String>) -> Result<Vec<u16>, String> {
    let LabelKind { entry, classes } = *kind;
    let Value::List(labels) = list else {
        return Err(format!("entry `{entry}` is no list"));
    };
    if labels.len() != images {
        return Err(format!("entry `{entry}` has {} labels, expected {images}", labels.len()));
    }
    let mut label = |(record, label)| match label {
        Value::I64(label) if (0..classes as i64).contains(&label) => label as u16,
        other => {
            let which = if entry == "labels" { String::new() } else { format!(" in `{entry}`") };
            problems.push(format!("bad label {other} of record {record}{which}, expected 0 to {}", classes - 1));
            0
        }
    };
    Ok(labels.into_iter().enumerate().map(&mut label).collect())
}

fn read_pixels(array: Value, images: usize) -> Result<Vec<u8>, String> {
    let Value::Tuple(mut state) = array else {
        return Err("entry `data` is no numpy array".into());
    };
    let (Some(Value::Bytes(pixels)), Some(Value::Bool(false)), 5) = (state.pop(), state.pop(), state.len() + 2) else {
        return Err("entry `data` is no numpy array in row order".into());
    };
    let expected = images * IMAGE_SIZE;
    if pixels.len() != expected {
        return Err(format!(
            "entry `data` has {} bytes, expected {expected} ({images} images of {IMAGE_SIZE})",
            pixels.len()
        ));
    }
    let shape = [Value::I64(images as i64), Value::I64(IMAGE_SIZE as i64)];
    match &state[1] {
        Value::Tuple(found) if *found == shape => Ok(pixels),
        other => Err(format!("entry `data` has shape {other}, expected ({images}, {IMAGE_SIZE})")),
    }
}

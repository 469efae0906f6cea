//! One file of the python version of CIFAR-10.
//!
//! Each file is a pickle that Python 2 wrote with protocol 2: a dictionary whose `data` is a numpy array of 10000 × 3072
//! bytes (planar pixels) and whose `labels` is a list of 10000 integers. The pickle reader knows no numpy; it puts the
//! state an object is rebuilt from in the object's place, and the state of an array is
//! `(version, shape, type, column order, raw bytes)`.

use std::fs;
use std::path::Path;

use serde_pickle::{DeOptions, HashableValue, Value};

use crate::cifar10::{CLASS_NAMES, IMAGE_SIZE, IMAGES_PER_FILE, Part};
use crate::error::DataError;

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Part, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    decode(&bytes).map_err(|problem| DataError::BadPickle { path: path.to_path_buf(), problem })
}

fn decode(bytes: &[u8]) -> Result<Part, String> {
    let options = DeOptions::new().keep_restore_state().replace_unresolved_globals();
    // The reader's own message names the byte offset.
    let value = serde_pickle::value_from_slice(bytes, options)
        .map_err(|error| format!("damaged pickle of {} bytes: {}", bytes.len(), printable(&error.to_string())))?;
    let Value::Dict(mut entries) = value else {
        return Err("the pickle is no dictionary".into());
    };
    let mut entry = |name: &str| {
        entries
            .remove(&HashableValue::Bytes(name.as_bytes().to_vec()))
            .or_else(|| entries.remove(&HashableValue::String(name.to_owned())))
            .ok_or_else(|| format!("the dictionary has no entry `{name}`"))
    };
    let labels = labels(entry("labels")?)?;
    Ok((pixels(entry("data")?)?, labels))
}

/// The beginning of a message that may quote any bytes of the file.
fn printable(message: &str) -> String {
    message.chars().take(80).flat_map(char::escape_debug).collect()
}

fn labels(value: Value) -> Result<Vec<u16>, String> {
    let Value::List(labels) = value else {
        return Err("entry `labels` is no list".into());
    };
    if labels.len() != IMAGES_PER_FILE {
        return Err(format!("entry `labels` has {} labels, expected {IMAGES_PER_FILE}", labels.len()));
    }
    labels
        .into_iter()
        .enumerate()
        .map(|(record, label)| match label {
            Value::I64(label) if (0..CLASS_NAMES.len() as i64).contains(&label) => Ok(label as u16),
            other => Err(format!("bad label {other} of record {record}, expected 0 to {}", CLASS_NAMES.len() - 1)),
        })
        .collect()
}

fn pixels(value: Value) -> Result<Vec<u8>, String> {
    let Value::Tuple(mut state) = value else {
        return Err("entry `data` is no numpy array".into());
    };
    let (Some(Value::Bytes(pixels)), Some(Value::Bool(false)), 5) = (state.pop(), state.pop(), state.len() + 2) else {
        return Err("entry `data` is no numpy array in row order".into());
    };
    let expected = IMAGES_PER_FILE * IMAGE_SIZE;
    if pixels.len() != expected {
        return Err(format!(
            "entry `data` has {} bytes, expected {expected} ({IMAGES_PER_FILE} images of {IMAGE_SIZE})",
            pixels.len()
        ));
    }
    let shape = [Value::I64(IMAGES_PER_FILE as i64), Value::I64(IMAGE_SIZE as i64)];
    match &state[1] {
        Value::Tuple(found) if *found == shape => Ok(pixels),
        other => Err(format!("entry `data` has shape {other}, expected ({IMAGES_PER_FILE}, {IMAGE_SIZE})")),
    }
}

//! One file of the python version of CIFAR-10 or CIFAR-100.
//!
//! Each file is a pickle that Python 2 wrote with protocol 2: a dictionary whose `data` is a numpy array of images × 3072
//! bytes (planar pixels) and which has a list of integers for each kind of label. The state that an array is rebuilt from is
//! `(version, shape, type, column order, raw bytes)`.

use std::fs;
use std::path::Path;

use super::cifar::{Archive, IMAGE_SIZE, LabelKind, Part};
use super::pickle::{Value, Values};
use crate::error::DataError;

/// Bytes and values of a file besides its images: names, which nobody reads, and what the format takes.
const SPARE: usize = 1 << 20;
/// Bytes and values of each image besides its pixels. Its name is the longest of them.
const SPARE_OF_IMAGE: usize = 1024;
const VALUES_OF_IMAGE: usize = 16;

/// Reads one file of so many images, or finds all that is wrong with it.
pub(crate) fn read(path: &Path, images: usize, archive: &Archive) -> Result<Part, Vec<DataError>> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let bytes = read_bytes(path, images, archive).map_err(|error| vec![error])?;
    let entries = Entries::read(&bytes, images).map_err(|problem| vec![bad(problem)])?;
    let mut problems = Vec::new();
    let mut labels = Vec::with_capacity(archive.labels.len());
    for kind in archive.labels {
        match entries.get(kind.entry).and_then(|list| entries.labels(list, kind, images, &mut problems)) {
            Ok(kind) => labels.push(kind),
            Err(problem) => problems.push(problem),
        }
    }
    match entries.get("data").and_then(|array| entries.pixels(array, images)) {
        Ok(pixels) if problems.is_empty() => return Ok(Part { pixels, labels }),
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
    Err(problems.into_iter().map(bad).collect())
}

/// Reads a list of names, as the file `meta` has them.
pub(crate) fn read_names(path: &Path, entry: &str, archive: &Archive) -> Result<Vec<String>, DataError> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let bytes = read_bytes(path, 0, archive)?;
    let entries = Entries::read(&bytes, 0).map_err(bad)?;
    let Value::List(names) = entries.get(entry).map_err(bad)? else {
        return Err(bad(format!("entry `{entry}` is no list")));
    };
    let name = |place: &usize| match entries.values.get(*place) {
        Value::Text(name) => Ok(String::from_utf8_lossy(entries.values.text(name)).into_owned()),
        other => Err(bad(format!("entry `{entry}` has {}, which is no name", shown(other)))),
    };
    names.iter().map(name).collect()
}

fn read_bytes(path: &Path, images: usize, archive: &Archive) -> Result<Vec<u8>, DataError> {
    let read_error = |source| DataError::Read { path: path.to_path_buf(), source };
    let most = images * (IMAGE_SIZE + SPARE_OF_IMAGE) + SPARE;
    let length = fs::metadata(path).map_err(read_error)?.len();
    if length > most as u64 {
        let problem = format!("it has {length} bytes, more than {most}");
        return Err(DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem });
    }
    fs::read(path).map_err(read_error)
}

/// The dictionary of a file.
struct Entries<'a> {
    values: Values<'a>,
    dict: Vec<usize>,
}

impl<'a> Entries<'a> {
    fn read(bytes: &'a [u8], images: usize) -> Result<Self, String> {
        let values = Values::read(bytes, images * VALUES_OF_IMAGE + SPARE)
            .map_err(|problem| format!("damaged pickle of {} bytes: {problem}", bytes.len()))?;
        match values.top() {
            Value::Dict(dict) => Ok(Self { dict: dict.clone(), values }),
            _ => Err("the pickle is no dictionary".into()),
        }
    }

    fn get(&self, name: &str) -> Result<&Value, String> {
        self.values.entry(&self.dict, name).ok_or_else(|| format!("the dictionary has no entry `{name}`"))
    }

    fn labels(
        &self,
        list: &Value,
        kind: &LabelKind,
        images: usize,
        problems: &mut Vec<String>,
    ) -> Result<Vec<u16>, String> {
        let LabelKind { entry, classes } = *kind;
        let Value::List(labels) = list else {
            return Err(format!("entry `{entry}` is no list"));
        };
        if labels.len() != images {
            return Err(format!("entry `{entry}` has {} labels, expected {images}", labels.len()));
        }
        let mut label = |(record, place): (usize, &usize)| match self.values.get(*place) {
            Value::Int(label) if (0..classes as i64).contains(label) => *label as u16,
            other => {
                let which = if entry == "labels" { String::new() } else { format!(" in `{entry}`") };
                let (other, last) = (shown(other), classes - 1);
                problems.push(format!("bad label {other} of record {record}{which}, expected 0 to {last}"));
                0
            }
        };
        Ok(labels.iter().enumerate().map(&mut label).collect())
    }

    fn pixels(&self, array: &Value, images: usize) -> Result<Vec<u8>, String> {
        let state = match array {
            Value::Object(Some(state)) => self.values.get(*state),
            _ => return Err("entry `data` is no numpy array".into()),
        };
        let Value::Tuple(state) = state else {
            return Err("entry `data` is no numpy array".into());
        };
        let state: Vec<&Value> = state.iter().map(|place| self.values.get(*place)).collect();
        let [_, shape, _, Value::Bool(false), Value::Text(pixels)] = state[..] else {
            return Err("entry `data` is no numpy array in row order".into());
        };
        let expected = images * IMAGE_SIZE;
        if pixels.len() != expected {
            return Err(format!(
                "entry `data` has {} bytes, expected {expected} ({images} images of {IMAGE_SIZE})",
                pixels.len()
            ));
        }
        let sides: Vec<&Value> = match shape {
            Value::Tuple(sides) => sides.iter().map(|place| self.values.get(*place)).collect(),
            _ => Vec::new(),
        };
        if sides != [&Value::Int(images as i64), &Value::Int(IMAGE_SIZE as i64)] {
            let shape = sides.into_iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(format!("entry `data` has shape ({shape}), expected ({images}, {IMAGE_SIZE})"));
        }
        Ok(self.values.text(pixels).to_vec())
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => format!("a text of {} bytes", text.len()),
        Value::List(_) | Value::Tuple(_) => "a list".into(),
        Value::Dict(_) => "a dictionary".into(),
        Value::Object(_) | Value::Other => "an object".into(),
    }
}

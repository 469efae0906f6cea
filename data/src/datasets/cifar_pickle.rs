//! One file of the Python version of CIFAR-10 or CIFAR-100.
//!
//! Each file is a pickle of protocol 2, written by Python 2: a dictionary with a NumPy array `data` of shape
//! `[images, 3072]` (planar pixels) and a list of integers for each kind of label. The state of a NumPy array is
//! `(version, shape, type, column order, bytes)`.

use std::fs;
use std::path::Path;

use qare_pickle::{Pickle, Value};

use super::cifar::{Archive, IMAGE_SIZE, LabelKind, Part};
use crate::error::DataError;

/// Bytes and values of a file besides its images.
const SPARE: usize = 1 << 20;
/// Bytes of an image besides its pixels: the name of its file and its labels.
const SPARE_OF_IMAGE: usize = 1024;
/// Values that an image adds to the pickle: each of its labels is one, its name is four.
const VALUES_OF_IMAGE: usize = 16;

/// Reads a file of this many images, or finds everything that is wrong with it.
pub(crate) fn read(path: &Path, images: usize, archive: &Archive) -> Result<Part, Vec<DataError>> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let bytes = read_bytes(path, images, archive).map_err(|error| vec![error])?;
    let entries = Entries::read(&bytes, images).map_err(|problem| vec![bad(problem)])?;
    let mut problems = Vec::new();
    let mut labels = Vec::with_capacity(archive.labels.len());
    for kind in archive.labels {
        match entries.labels(kind, images, &mut problems) {
            Ok(kind) => labels.push(kind),
            Err(problem) => problems.push(problem),
        }
    }
    match entries.pixels(images) {
        Ok(pixels) if problems.is_empty() => return Ok(Part { pixels, labels }),
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
    Err(problems.into_iter().map(bad).collect())
}

/// Reads the list of names in the file `meta`.
pub(crate) fn read_names(path: &Path, entry: &str, archive: &Archive) -> Result<Vec<String>, DataError> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let bytes = read_bytes(path, 0, archive)?;
    let entries = Entries::read(&bytes, 0).map_err(bad)?;
    let names = entries.list(entry).map_err(bad)?;
    let name = |name: &Value| match entries.pickle.bytes(*name) {
        Some(name) => Ok(String::from_utf8_lossy(name).into_owned()),
        None => Err(bad(format!("entry `{entry}` has {}, which is no name", shown(*name)))),
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

/// The dictionary that a file holds.
struct Entries<'a> {
    pickle: Pickle<'a>,
}

impl<'a> Entries<'a> {
    fn read(bytes: &'a [u8], images: usize) -> Result<Self, String> {
        let pickle = Pickle::read(bytes, images * VALUES_OF_IMAGE + SPARE)
            .map_err(|error| format!("damaged pickle of {} bytes: {error}", bytes.len()))?;
        match pickle.root() {
            Value::Dict(_) => Ok(Self { pickle }),
            _ => Err("the pickle is no dictionary".into()),
        }
    }

    fn get(&self, name: &str) -> Result<Value, String> {
        self.pickle.entry(self.pickle.root(), name).ok_or_else(|| format!("the dictionary has no entry `{name}`"))
    }

    fn list(&self, name: &str) -> Result<&[Value], String> {
        match self.get(name)? {
            list @ Value::List(_) => Ok(self.pickle.items(list).unwrap_or_default()),
            _ => Err(format!("entry `{name}` is no list")),
        }
    }

    fn labels(&self, kind: &LabelKind, images: usize, problems: &mut Vec<String>) -> Result<Vec<u16>, String> {
        let LabelKind { entry, classes } = *kind;
        let labels = self.list(entry)?;
        if labels.len() != images {
            return Err(format!("entry `{entry}` has {} labels, expected {images}", labels.len()));
        }
        let mut label = |(record, label): (usize, &Value)| match *label {
            Value::Int(label) if (0..classes as i64).contains(&label) => label as u16,
            other => {
                let which = if entry == "labels" { String::new() } else { format!(" in `{entry}`") };
                let (other, last) = (shown(other), classes - 1);
                problems.push(format!("bad label {other} of record {record}{which}, expected 0 to {last}"));
                0
            }
        };
        Ok(labels.iter().enumerate().map(&mut label).collect())
    }

    fn pixels(&self, images: usize) -> Result<Vec<u8>, String> {
        let array = self.pickle.object(self.get("data")?);
        let state = array.and_then(|array| array.state).filter(|state| matches!(state, Value::Tuple(_)));
        let Some(state) = state.and_then(|state| self.pickle.items(state)) else {
            return Err("entry `data` is no numpy array".into());
        };
        let [_, shape, _, Value::Bool(false), pixels] = *state else {
            return Err("entry `data` is no numpy array in row order".into());
        };
        let Some(pixels) = self.pickle.bytes(pixels) else {
            return Err("entry `data` is no numpy array in row order".into());
        };
        let expected = images * IMAGE_SIZE;
        if pixels.len() != expected {
            return Err(format!(
                "entry `data` has {} bytes, expected {expected} ({images} images of {IMAGE_SIZE})",
                pixels.len()
            ));
        }
        let sides = self.pickle.items(shape).unwrap_or_default();
        if sides != [Value::Int(images as i64), Value::Int(IMAGE_SIZE as i64)] {
            let shape = sides.iter().copied().map(shown).collect::<Vec<_>>().join(", ");
            return Err(format!("entry `data` has shape ({shape}), expected ({images}, {IMAGE_SIZE})"));
        }
        Ok(pixels.to_vec())
    }
}

/// A value in a message.
fn shown(value: Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Text(text) | Value::Bytes(text) => format!("a text of {} bytes", text.len()),
        Value::List(_) | Value::Tuple(_) => "a list".into(),
        Value::Dict(_) => "a dictionary".into(),
        _ => "an object".into(),
    }
}

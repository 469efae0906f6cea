//! One file of the Python version of CIFAR-10 or CIFAR-100.
//!
//! Each file is a pickle: a dictionary with a NumPy array `data` of shape `[images, 3072]` (planar pixels) and a list of integers
//! for each kind of label. Those of the archive are in protocol 2, written by Python 2. What Python 3 makes of them is read too, in
//! every protocol, with `bytes` or `str` as keys, and with labels in an array.

use std::fs;
use std::path::Path;

use qare_pickle::{Pickle, PickleError, Value};
use qare_printable::printable;

use super::cifar::{Archive, IMAGE_SIZE, LabelKind, Part};
use super::numpy_array::{Array, integer};
use crate::error::DataError;

/// Bytes and values of a file besides its images.
const SPARE: usize = 1 << 20;
/// The most bytes that a pixel takes: protocol 0 writes a byte of zero as `\u0000`.
const BYTES_OF_PIXEL: usize = 6;
/// Bytes of an image besides its pixels: the name of its file and its labels.
const SPARE_OF_IMAGE: usize = 1024;
/// Values that an image adds to the pickle. A number of NumPy is about 40 values, and a name of `bytes` in an early protocol about 25.
const VALUES_OF_IMAGE: usize = 128;
/// The most bytes of a name of a class.
const LONGEST_NAME: usize = 1024;

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

/// Reads the list of the names of so many classes in the file `meta`.
pub(crate) fn read_names(
    path: &Path,
    entry: &str,
    classes: usize,
    archive: &Archive,
) -> Result<Vec<String>, DataError> {
    let bad = |problem| DataError::BadPickle { dataset: archive.title, path: path.to_path_buf(), problem };
    let bytes = read_bytes(path, 0, archive)?;
    let entries = Entries::read(&bytes, 0).map_err(bad)?;
    let names = entries.list(entry).map_err(bad)?;
    if names.len() != classes {
        return Err(bad(format!("entry `{entry}` has {} names, but there are {classes} classes", names.len())));
    }
    let name = |name: &Value| match entries.pickle.raw(*name, LONGEST_NAME).filter(|name| name.len() <= LONGEST_NAME) {
        Some(name) => Ok(String::from_utf8_lossy(&name).into_owned()),
        None => Err(bad(format!("entry `{entry}` has {}, which is no name", shown(*name)))),
    };
    names.iter().map(name).collect()
}

fn read_bytes(path: &Path, images: usize, archive: &Archive) -> Result<Vec<u8>, DataError> {
    let read_error = |source| DataError::Read { path: path.to_path_buf(), source };
    let most = images * (BYTES_OF_PIXEL * IMAGE_SIZE + SPARE_OF_IMAGE) + SPARE;
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
        let pickle = Pickle::read(bytes, images * VALUES_OF_IMAGE + SPARE).map_err(|error| match error {
            PickleError::OutsideBuffer { .. } => error.to_string(),
            _ => format!("damaged pickle of {} bytes: {error}", bytes.len()),
        })?;
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
            list @ (Value::List(_) | Value::Tuple(_)) => Ok(self.pickle.items(list).unwrap_or_default()),
            _ => Err(format!("entry `{name}` is no list")),
        }
    }

    /// The labels of a list or an array, one for each image. In the place of a value that is no number is what it is instead.
    fn integers(&self, name: &str, images: usize) -> Result<Vec<Result<i64, String>>, String> {
        if let Some(array) = Array::of(&self.pickle, self.get(name)?) {
            let numbers = if array.shape == [images as i64] { array.integers() } else { None };
            let numbers = numbers.ok_or_else(|| {
                let (kind, shape) = (printable(&array.kind.name), sides(&array.shape));
                format!("entry `{name}` is an array of type {kind} and shape ({shape}), expected {images} integers")
            })?;
            return Ok(numbers.into_iter().map(Ok).collect());
        }
        let labels = self.list(name)?;
        if labels.len() != images {
            return Err(format!("entry `{name}` has {} labels, expected {images}", labels.len()));
        }
        Ok(labels.iter().map(|label| integer(&self.pickle, *label).ok_or_else(|| shown(*label))).collect())
    }

    fn labels(&self, kind: &LabelKind, images: usize, problems: &mut Vec<String>) -> Result<Vec<u16>, String> {
        let LabelKind { entry, classes } = *kind;
        let labels = self.integers(entry, images)?;
        let mut label = |(record, label): (usize, Result<i64, String>)| match label {
            Ok(label) if (0..classes as i64).contains(&label) => label as u16,
            other => {
                let which = if entry == "labels" { String::new() } else { format!(" in `{entry}`") };
                let (other, last) = (other.map_or_else(|what| what, |label| label.to_string()), classes - 1);
                problems.push(format!("bad label {other} of record {record}{which}, expected 0 to {last}"));
                0
            }
        };
        Ok(labels.into_iter().enumerate().map(&mut label).collect())
    }

    fn pixels(&self, images: usize) -> Result<Vec<u8>, String> {
        let array = Array::of(&self.pickle, self.get("data")?).ok_or("entry `data` is no numpy array")?;
        if array.kind.name != "u1" {
            let kind = printable(&array.kind.name);
            return Err(format!("entry `data` is a numpy array of type {kind}, expected u1, which is uint8"));
        }
        let (found, expected) = (array.bytes.len(), images * IMAGE_SIZE);
        if found != expected {
            return Err(format!(
                "entry `data` has {found} bytes, expected {expected} ({images} images of {IMAGE_SIZE})"
            ));
        }
        if array.shape != [images as i64, IMAGE_SIZE as i64] {
            let shape = sides(&array.shape);
            return Err(format!("entry `data` has shape ({shape}), expected ({images}, {IMAGE_SIZE})"));
        }
        Ok(array.into_rows(IMAGE_SIZE))
    }
}

/// The first sides of a shape, in a message.
fn sides(shape: &[i64]) -> String {
    const FIRST: usize = 8;
    let first = shape.iter().take(FIRST).map(i64::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() > FIRST { first + ", …" } else { first }
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

#[cfg(test)]
mod tests;

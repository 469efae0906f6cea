//! The numbers of a PyTorch file, which are kept apart from the pickle that says what they are.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use burn::tensor::{bf16, f16};
use zip::ZipArchive;

use super::pickle::{Object, Pickle, Storage, TensorView};

/// What a legacy file starts with, a number that PyTorch has drawn.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A PyTorch file: what was saved, and where its numbers are.
pub(super) struct PytorchFile<'a> {
    pub saved: Pickle,
    numbers: Numbers<'a>,
    /// The storage read last: tensors that share one mostly follow each other.
    last: (String, Vec<u8>),
}

enum Numbers<'a> {
    /// One member of the archive a storage, since PyTorch 1.6.
    Zip { archive: ZipArchive<Cursor<&'a [u8]>>, folder: String },
    /// One after the other behind the pickle.
    Legacy { bytes: &'a [u8], places: HashMap<String, Range<usize>> },
}

impl<'a> PytorchFile<'a> {
    /// Reads the zip archive of PyTorch 1.6 and later.
    pub fn from_zip(bytes: &'a [u8]) -> Result<Self, String> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let name = archive.file_names().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl")).min();
        let name = name.ok_or("a zip archive without a `data.pkl`, so none of torch.save")?.to_owned();
        let folder = name.trim_end_matches("data.pkl").to_owned();

        let order = format!("{folder}byteorder");
        if archive.index_for_name(&order).is_some() && member(&mut archive, &order)? != b"little" {
            return Err("its numbers are big-endian, which is not supported".to_owned());
        }
        let saved = Pickle::read(&member(&mut archive, &name)?).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self::new(saved, Numbers::Zip { archive, folder }))
    }

    /// Reads the pickles in a row that PyTorch wrote before 1.6, and later on demand: a magic number, the version, the
    /// system, what was saved, the names of the storages, then each storage's length and numbers.
    pub fn from_legacy(bytes: &'a [u8]) -> Result<Self, String> {
        let mut at = 0;
        let mut next = |what: &str| {
            let pickle = Pickle::read(&bytes[at..]).map_err(|error| format!("{what}: {error}"))?;
            at += pickle.length;
            Ok::<_, String>(pickle)
        };
        next("its magic number")?;
        next("its version")?;
        let system = next("its system")?;
        if entry(&system, "little_endian") == Some(&Object::Bool(false)) {
            return Err("its numbers are big-endian, which is not supported".to_owned());
        }
        let saved = next("what was saved")?;
        let keys = next("the names of its storages")?;

        let Object::List(names) = keys.object(keys.root) else {
            return Err("the names of its storages are no list".to_owned());
        };
        let storages: HashMap<&str, &Storage> =
            saved.storages().map(|storage| (storage.key.as_str(), storage)).collect();
        let mut places = HashMap::new();
        for name in names {
            let name = keys.text(*name).ok_or("a storage's name is no text")?;
            let storage = storages.get(name).ok_or_else(|| format!("no tensor says what its storage `{name}` is"))?;
            let width = width(&storage.kind).ok_or_else(|| format!("storages of type {} are unknown", storage.kind))?;
            let start = at + 8;
            let length = bytes.get(at..start).ok_or("it is cut off")?;
            if length != (storage.elements as u64).to_le_bytes() {
                return Err(format!("its storage `{name}` is not of {} elements", storage.elements));
            }
            at = storage
                .elements
                .checked_mul(width)
                .and_then(|length| start.checked_add(length))
                .filter(|end| *end <= bytes.len())
                .ok_or("it is cut off")?;
            places.insert(name.to_owned(), start..at);
        }
        Ok(Self::new(saved, Numbers::Legacy { bytes, places }))
    }

    fn new(saved: Pickle, numbers: Numbers<'a>) -> Self {
        Self { saved, numbers, last: Default::default() }
    }

    /// Whether bytes are the start of a legacy file.
    pub fn is_legacy(bytes: &[u8]) -> bool {
        let magic = Object::LongInt(LEGACY_MAGIC.to_vec());
        bytes.first() == Some(&0x80) && Pickle::read(bytes).is_ok_and(|first| *first.object(first.root) == magic)
    }

    /// The values of a float tensor, or of one of integers where `integers` are wanted, in row-major order. None if it
    /// is of another type.
    pub fn values(&mut self, view: &TensorView, integers: bool) -> Result<Option<Vec<f32>>, String> {
        let decode: fn(&[u8]) -> f32 = match view.storage.kind.as_str() {
            "FloatStorage" => |bytes| f32::from_le_bytes(array(bytes)),
            "DoubleStorage" => |bytes| f64::from_le_bytes(array(bytes)) as f32,
            "HalfStorage" => |bytes| f16::from_le_bytes(array(bytes)).to_f32(),
            "BFloat16Storage" => |bytes| bf16::from_le_bytes(array(bytes)).to_f32(),
            "LongStorage" if integers => |bytes| i64::from_le_bytes(array(bytes)) as f32,
            "IntStorage" if integers => |bytes| i32::from_le_bytes(array(bytes)) as f32,
            _ => return Ok(None),
        };
        let width = width(&view.storage.kind).expect("types with values have a width");
        let elements = elements(view)?;
        let stored = self.bytes(&view.storage)?;
        let value = |at: usize| match stored.get(at * width..(at + 1) * width) {
            Some(bytes) => Ok(decode(bytes)),
            None => Err(format!("its storage `{}` is too short", view.storage.key)),
        };
        elements.into_iter().map(value).collect::<Result<_, _>>().map(Some)
    }

    fn bytes(&mut self, storage: &Storage) -> Result<&[u8], String> {
        match &mut self.numbers {
            Numbers::Zip { archive, folder } => {
                let name = format!("{folder}data/{}", storage.key);
                if self.last.0 != name {
                    self.last = (name.clone(), member(archive, &name)?);
                }
                Ok(&self.last.1)
            }
            Numbers::Legacy { bytes, places } => match places.get(&storage.key) {
                Some(place) => Ok(&bytes[place.clone()]),
                None => Err(format!("it has no storage `{}`", storage.key)),
            },
        }
    }
}

/// The places in its storage of a tensor's elements in row-major order.
fn elements(view: &TensorView) -> Result<Vec<usize>, String> {
    let count = view.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    let fits = |count: &usize| *count <= view.storage.elements;
    let Some(count) = count.filter(fits) else {
        return Err(format!("a tensor of shape {:?} in a storage of {} elements", view.shape, view.storage.elements));
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    let last = view
        .shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |last, (size, stride)| (size - 1).checked_mul(*stride)?.checked_add(last));
    if last.is_none_or(|last| last >= view.storage.elements) {
        return Err(format!("a tensor of shape {:?} reaches beyond its storage", view.shape));
    }

    let mut places = vec![view.offset];
    for (size, stride) in view.shape.iter().zip(&view.strides) {
        places = places.iter().flat_map(|place| (0..*size).map(move |index| place + index * stride)).collect();
    }
    Ok(places)
}

/// A member of the archive, whose checksum has to be right.
fn member(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let mut file = archive.by_name(name).map_err(|error| told(&error))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| told(&error))?;
    Ok(bytes)
}

/// The value of a text in a dictionary.
fn entry<'a>(pickle: &'a Pickle, name: &str) -> Option<&'a Object> {
    match pickle.object(pickle.root) {
        Object::Dict(items) => {
            items.iter().find(|(key, _)| pickle.text(*key) == Some(name)).map(|(_, value)| pickle.object(*value))
        }
        _ => None,
    }
}

/// Bytes an element of a type of storage.
fn width(kind: &str) -> Option<usize> {
    match kind {
        "ComplexDoubleStorage" => Some(16),
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => Some(8),
        "FloatStorage" | "IntStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" | "UntypedStorage" => Some(1),
        _ => None,
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as the type is wide")
}

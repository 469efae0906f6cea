//! The header of a safetensors file, which says what its tensors are.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::element::Element;
use super::error::WeightsError;
use super::numbers::{Place, Storage, View};
use super::state_dict::Contents;

const FORMAT: &str = "safetensors";
/// What the format allows.
const LONGEST: u64 = 100_000_000;
const MOST_TENSORS: usize = 200_000;
/// Bytes of a name.
const LONGEST_NAME: usize = 1_000;
/// As of PyTorch's tensors.
const MOST_DIMENSIONS: usize = 64;

/// What tensors a file has, by its header alone.
pub(super) fn read<R: Read + Seek>(file: &mut R, path: &Path) -> Result<Contents, WeightsError> {
    let damaged = |reason: String| WeightsError::damaged(path, FORMAT, reason);
    let io = |source| WeightsError::Io { path: path.to_owned(), source };
    let size = file.seek(SeekFrom::End(0)).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;

    let mut length = [0; 8];
    if size == 0 {
        return Err(damaged("it is empty".to_owned()));
    }
    if size < length.len() as u64 {
        return Err(damaged("it is cut off in the length of its header".to_owned()));
    }
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(damaged(format!("it announces a header of {length} bytes, more than the format allows")));
    }
    let start = 8 + length;
    if start > size {
        return Err(damaged(format!("it announces a header of {length} bytes and has {} in all", size - 8)));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(io)?;

    let Header { metadata, tensors } = parse(&header).map_err(|error| damaged(error.to_string()))?;
    let mut in_order: Vec<(String, TensorInfo)> = tensors.into_iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let order: Vec<String> = in_order.iter().map(|(name, _)| name.clone()).collect();
    // Checks that each tensor has the bytes that its shape needs, and that they follow each other without gaps.
    let checked = Metadata::new(None, in_order).map_err(|error| damaged(error.to_string()))?;
    let (expected, found) = (checked.data_len() as u64, size - start);
    if expected != found {
        return Err(damaged(format!("its tensors take {expected} bytes and {found} follow its header")));
    }

    let mut contents = Contents { metadata: metadata.unwrap_or_default(), ..Contents::default() };
    for name in order {
        let info = checked.info(&name).expect("names are those of the header");
        let element = element(info.dtype);
        let place = Place::Byte(start + info.data_offsets.0 as u64);
        let view = View { storage: contents.storages.len(), offset: 0, shape: info.shape.clone(), strides: None };
        let elements = view.count().expect("checked above");
        contents.names.insert(name, contents.views.len());
        contents.storages.push(Storage { place, element, elements });
        contents.views.push(view);
    }
    Ok(contents)
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F64 => Element::Float64,
        Dtype::F32 => Element::Float32,
        Dtype::F16 => Element::Float16,
        Dtype::BF16 => Element::BFloat16,
        Dtype::I64 => Element::Int64,
        Dtype::I32 => Element::Int32,
        Dtype::I16 => Element::Int16,
        Dtype::I8 => Element::Int8,
        Dtype::U8 => Element::UInt8,
        Dtype::BOOL => Element::Bool,
        Dtype::C64 => Element::Complex64,
        _ => Element::Unknown,
    }
}

#[derive(Default)]
struct Header {
    metadata: Option<HashMap<String, String>>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(size) = sizes.next_element()? {
                    if shape.len() == MOST_DIMENSIONS {
                        return Err(A::Error::custom(format!("a tensor has more than {MOST_DIMENSIONS} dimensions")));
                    }
                    shape.push(size);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

/// Parses the header entry by entry. The library's parser keeps a header in memory several times, and of two tensors of one
/// name it takes the last.
fn parse(header: &[u8]) -> serde_json::Result<Header> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Header;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object with an entry for each tensor")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Header, A::Error> {
            let mut header = Header::default();
            while let Some(name) = entries.next_key::<String>()? {
                if name == "__metadata__" {
                    if header.metadata.is_some() {
                        return Err(A::Error::custom("it has two entries `__metadata__`"));
                    }
                    header.metadata = Some(entries.next_value()?);
                    continue;
                }
                if header.tensors.len() == MOST_TENSORS {
                    return Err(A::Error::custom(format!("it announces more than {MOST_TENSORS} tensors")));
                }
                if name.len() > LONGEST_NAME {
                    return Err(A::Error::custom(format!("it has a name of more than {LONGEST_NAME} bytes")));
                }
                match header.tensors.entry(name) {
                    Entry::Occupied(entry) => {
                        return Err(A::Error::custom(format!("it has two tensors `{}`", entry.key())));
                    }
                    Entry::Vacant(entry) => {
                        let Info { dtype, shape: Shape(shape), data_offsets } = entries.next_value()?;
                        entry.insert(TensorInfo { dtype, shape, data_offsets });
                    }
                }
            }
            Ok(header)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(header);
    let header = json.deserialize_map(Entries)?;
    json.end()?;
    Ok(header)
}

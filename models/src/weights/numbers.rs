//! Reads the numbers of tensors from a file when they are needed.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::archive::{self, Archive};
use super::element::Element;

/// Storages may unpack to four times the bytes that the tensors need, the size of the file, and this many bytes more.
const SPARE: u64 = 64 << 20;

/// Consecutive numbers of one type. Tensors are views of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub place: Place,
    pub element: Element,
    /// How many numbers it holds.
    pub elements: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// In the file, from this byte on.
    Byte(u64),
    /// A member of the zip archive, by its name.
    Member(String),
}

/// A tensor as a view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// Index of the storage.
    pub storage: usize,
    /// Element of the storage at which it starts.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements of the storage from one index of a dimension to the next; [`None`] for row-major order without gaps.
    pub strides: Option<Vec<usize>>,
}

impl View {
    /// How many numbers it has.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))
    }

    /// The range of its storage from its first element to its last.
    fn extent(&self, storage: &Storage) -> Result<Range<usize>, String> {
        let beyond =
            || format!("of shape {:?}, it reaches beyond its storage of {} elements", self.shape, storage.elements);
        let count = self.count().ok_or_else(beyond)?;
        if count == 0 {
            return Ok(0..0);
        }
        let last = match &self.strides {
            None => (count - 1).checked_add(self.offset),
            Some(strides) => self
                .shape
                .iter()
                .zip(strides)
                .try_fold(self.offset, |last, (size, stride)| (size - 1).checked_mul(*stride)?.checked_add(last)),
        };
        match last {
            Some(last) if last < storage.elements => Ok(self.offset..last + 1),
            _ => Err(beyond()),
        }
    }

    /// Its numbers in row-major order. `bytes` are those of its storage from element `first` on.
    fn values(&self, first: usize, bytes: &[u8], element: Element) -> Option<Vec<f32>> {
        let (width, decode) = (element.width()?, element.decoder()?);
        let count = self.count()?;
        let start = (self.offset - first) * width;
        let Some(strides) = self.strides.as_ref().filter(|strides| !is_row_major(&self.shape, strides)) else {
            return Some(bytes[start..start + count * width].chunks_exact(width).map(decode).collect());
        };
        let mut places = vec![self.offset - first];
        for (size, stride) in self.shape.iter().zip(strides) {
            places = places.iter().flat_map(|place| (0..*size).map(move |index| place + index * stride)).collect();
        }
        Some(places.into_iter().map(|place| decode(&bytes[place * width..][..width])).collect())
    }
}

fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}

/// Why the numbers of one of the wanted tensors could not be read.
pub(super) struct Unreadable {
    /// Index of the tensor among those wanted.
    pub tensor: usize,
    pub reason: String,
}

/// Reads the numbers of tensors, each storage once. It takes memory for the shapes of `wanted`: the caller checks that it
/// needs tensors of this size.
pub(super) fn read<R: Read + Seek>(
    file: &mut R,
    storages: &[Storage],
    wanted: &[&View],
) -> Result<Vec<Vec<f32>>, Unreadable> {
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut needed = 0u64;
    for (tensor, view) in wanted.iter().enumerate() {
        users.entry(view.storage).or_default().push(tensor);
        let width = storages[view.storage].element.width().unwrap_or(1);
        needed = needed.saturating_add(view.count().unwrap_or(usize::MAX).saturating_mul(width) as u64);
    }
    let mut values = vec![Vec::new(); wanted.len()];
    let mut source = Source { file: Some(file), archive: None, left: needed.saturating_mul(4).saturating_add(SPARE) };
    for (storage, tensors) in users {
        let storage = &storages[storage];
        let mut extent: Option<Range<usize>> = None;
        for &tensor in &tensors {
            let of_view = wanted[tensor].extent(storage).map_err(|reason| Unreadable { tensor, reason })?;
            if !of_view.is_empty() {
                extent = Some(match extent {
                    None => of_view,
                    Some(whole) => whole.start.min(of_view.start)..whole.end.max(of_view.end),
                });
            }
        }
        let Some(extent) = extent else { continue };
        let unreadable = |reason| Unreadable { tensor: tensors[0], reason };
        let bytes = source.bytes(storage, extent.clone()).map_err(unreadable)?;
        for &tensor in tensors.iter().filter(|tensor| wanted[**tensor].count() != Some(0)) {
            values[tensor] = wanted[tensor]
                .values(extent.start, &bytes, storage.element)
                .ok_or_else(|| Unreadable { tensor, reason: format!("it is of type {}", storage.element.name()) })?;
        }
    }
    Ok(values)
}

struct Source<'a, R> {
    /// None once it is an archive.
    file: Option<&'a mut R>,
    archive: Option<Archive<&'a mut R>>,
    /// How many bytes may still be unpacked.
    left: u64,
}

impl<R: Read + Seek> Source<'_, R> {
    fn bytes(&mut self, storage: &Storage, extent: Range<usize>) -> Result<Vec<u8>, String> {
        let width = storage.element.width().ok_or("it is of an unknown type")?;
        // The products below do not overflow: an extent ends within the elements, whose size does not.
        let all = storage.elements.checked_mul(width).ok_or("its storage is too large")?;
        let (skipped, length) = (extent.start * width, extent.len() * width);
        match &storage.place {
            Place::Byte(start) => {
                let file = self.file.as_mut().ok_or("it is outside of the archive")?;
                file.seek(SeekFrom::Start(start + skipped as u64)).map_err(|error| error.to_string())?;
                whole(file, length)
            }
            Place::Member(name) => {
                if let Some(file) = self.file.take() {
                    let size = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
                    self.left = self.left.saturating_add(size);
                    self.archive = Some(archive::open(file)?);
                }
                let archive = self.archive.as_mut().expect("opened above");
                let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
                let mut member = archive.by_name(name).map_err(|error| told(&error))?;
                let unpacked = member.size();
                if unpacked < all as u64 {
                    return Err(told(&format!("it holds {unpacked} bytes, {all} were announced")));
                }
                self.left = self.left.checked_sub(unpacked).ok_or_else(|| {
                    told(&format!("it unpacks to {unpacked} bytes, many times what the tensors need"))
                })?;
                // To the end, for the library compares the checksum there.
                let mut member = member.by_ref().take(unpacked + 1);
                let before = drain(&mut member.by_ref().take(skipped as u64)).map_err(|error| told(&error))?;
                let bytes = whole(&mut member, length).map_err(|error| told(&error))?;
                let after = drain(&mut member).map_err(|error| told(&error))?;
                match before + length as u64 + after == unpacked {
                    true => Ok(bytes),
                    false => Err(told(&"it is not of the size that the archive says")),
                }
            }
        }
    }
}

/// Reads to the end, and returns how many bytes there were.
fn drain(reader: &mut impl Read) -> io::Result<u64> {
    io::copy(reader, &mut io::sink())
}

/// Reads `length` bytes. Memory grows with what is read, not with `length`.
fn whole(reader: &mut impl Read, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(length as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() == length { Ok(bytes) } else { Err("it is cut off".to_owned()) }
}

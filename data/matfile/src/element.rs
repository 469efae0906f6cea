//! Data elements: a kind, a length and bytes.

use crate::error::MatError;

/// The kinds of elements, as numbered in the file.
pub const INT8: u32 = 1;
pub const UINT8: u32 = 2;
pub const INT16: u32 = 3;
pub const UINT16: u32 = 4;
pub const INT32: u32 = 5;
pub const UINT32: u32 = 6;
pub const SINGLE: u32 = 7;
pub const DOUBLE: u32 = 9;
pub const INT64: u32 = 12;
pub const UINT64: u32 = 13;
pub const MATRIX: u32 = 14;
pub const COMPRESSED: u32 = 15;
pub const UTF8: u32 = 16;
pub const UTF16: u32 = 17;
pub const UTF32: u32 = 18;

/// Length of the kind and the length of an element.
const TAG: usize = 8;

/// One element.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub kind: u32,
    pub bytes: &'a [u8],
    /// Where its tag is, and where its bytes are, in the file or in the contents of `variable`.
    pub start: usize,
    pub from: usize,
    /// Where the compressed variable that holds it is in the file.
    pub variable: Option<usize>,
}

impl<'a> Element<'a> {
    /// An error about this element.
    pub fn damaged(&self, problem: String) -> MatError {
        MatError::Damaged { offset: self.start, variable: self.variable, problem }
    }

    /// The elements in this one.
    pub fn elements(&self, big: bool) -> Elements<'a> {
        Elements::of(self.bytes, self.from, self.variable, big)
    }

    /// The 32-bit numbers of an element of such a kind.
    pub fn numbers32(&self, kind: u32, big: bool, what: &str) -> Result<Vec<u32>, MatError> {
        if self.kind != kind || !self.bytes.len().is_multiple_of(4) {
            let found = format!("kind {} of {} bytes", self.kind, self.bytes.len());
            return Err(self.damaged(format!("{found} where {what} should be")));
        }
        Ok(self.bytes.as_chunks().0.iter().map(|bytes| number32(*bytes, big)).collect())
    }
}

/// A sequence of elements.
pub struct Elements<'a> {
    rest: &'a [u8],
    at: usize,
    variable: Option<usize>,
    big: bool,
}

impl<'a> Elements<'a> {
    /// The elements in `bytes`, which are at an offset in the file or in the contents of a compressed variable.
    pub fn of(bytes: &'a [u8], at: usize, variable: Option<usize>, big: bool) -> Self {
        Self { rest: bytes, at, variable, big }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Number of bytes that remain.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next element. Of up to four bytes, kind and length take four bytes, and the bytes the other four. Others but compressed
    /// variables fill a multiple of eight bytes; the last one may lack what fills it.
    pub fn next(&mut self) -> Result<Element<'a>, MatError> {
        let start = self.at;
        let cut = |problem: String| MatError::Damaged { offset: start, variable: self.variable, problem };
        let (tag, _) = self
            .rest
            .split_first_chunk::<TAG>()
            .ok_or_else(|| cut(format!("{} bytes are left where an element should be", self.rest.len())))?;
        let word = number32([tag[0], tag[1], tag[2], tag[3]], self.big);
        let (kind, length, from, whole) = match word >> 16 {
            0 => {
                let length = number32([tag[4], tag[5], tag[6], tag[7]], self.big) as usize;
                let filled = if word == COMPRESSED { length } else { length.saturating_add(7) / 8 * 8 };
                (word, length, TAG, TAG.saturating_add(filled))
            }
            length => (word & 0xffff, length as usize, 4, TAG),
        };
        let bytes = from.checked_add(length).and_then(|end| self.rest[..whole.min(self.rest.len())].get(from..end));
        let bytes =
            bytes.ok_or_else(|| cut(format!("{length} bytes are announced, {} are there", self.rest.len() - from)))?;
        let whole = whole.min(self.rest.len());
        self.rest = &self.rest[whole..];
        self.at += whole;
        Ok(Element { kind, bytes, start, from: start + from, variable: self.variable })
    }
}

fn number32(bytes: [u8; 4], big: bool) -> u32 {
    if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

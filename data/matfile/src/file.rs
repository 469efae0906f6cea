//! A file and its variables.

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::array::Array;
use crate::contents::array;
use crate::element::{COMPRESSED, Elements, MATRIX};
use crate::error::MatError;

/// Length of the header in bytes.
const HEADER: usize = 128;

/// The variables of a MAT-file.
#[derive(Clone, Debug, PartialEq)]
pub struct MatFile {
    variables: Vec<(String, Array)>,
}

impl MatFile {
    /// Reads the bytes of a file. Its contents, in which compressed variables are inflated, may have `limit` bytes.
    ///
    /// # Errors
    /// If the file has another format, is damaged, or its contents are larger.
    pub fn read(bytes: &[u8], limit: usize) -> Result<Self, MatError> {
        let header = bytes.get(..HEADER).ok_or(MatError::Header)?;
        let big = match &header[126..] {
            b"IM" => false,
            b"MI" => true,
            _ => return Err(MatError::Header),
        };
        let version = if big { [header[124], header[125]] } else { [header[125], header[124]] };
        match version {
            [1, _] => {}
            [2, _] => return Err(MatError::Hdf5),
            _ => return Err(MatError::Header),
        }
        let mut elements = Elements::of(&bytes[HEADER..], HEADER, None, big);
        let (mut variables, mut left) = (Vec::new(), limit);
        while !elements.is_empty() {
            let element = elements.next()?;
            let take = |left: usize, bytes: usize| left.checked_sub(bytes).ok_or(MatError::TooLarge { limit });
            match element.kind {
                MATRIX => {
                    left = take(left, element.bytes.len())?;
                    variables.push(array(element, big)?);
                }
                COMPRESSED => {
                    let inflated = inflate(element.bytes, left, limit, element.start)?;
                    left = take(left, inflated.len())?;
                    let mut inner = Elements::of(&inflated, 0, Some(element.start), big);
                    let variable = inner.next()?;
                    if variable.kind != MATRIX {
                        return Err(variable.damaged(format!("kind {} is no array", variable.kind)));
                    }
                    variables.push(array(variable, big)?);
                }
                kind => return Err(element.damaged(format!("kind {kind} is no variable"))),
            }
        }
        Ok(Self { variables })
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Array> {
        self.variables.iter().find(|(own, _)| own == name).map(|(_, array)| array)
    }

    /// The names and values of all variables, in the order of the file.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = (&str, &Array)> {
        self.variables.iter().map(|(name, array)| (name.as_str(), array))
    }
}

/// Inflates a variable of at most `most` bytes. The end of the stream has a checksum of the contents.
fn inflate(bytes: &[u8], most: usize, limit: usize, offset: usize) -> Result<Vec<u8>, MatError> {
    let mut inflated = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(most as u64 + 1);
    decoder.read_to_end(&mut inflated).map_err(|error| MatError::Inflate { offset, problem: error.to_string() })?;
    if inflated.len() > most { Err(MatError::TooLarge { limit }) } else { Ok(inflated) }
}

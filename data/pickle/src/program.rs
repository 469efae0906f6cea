//! The bytes of a pickle as a program: instructions and what follows each of them.

use std::ops::Range;

use crate::error::PickleError;

pub(crate) struct Program<'a> {
    bytes: &'a [u8],
    /// The byte after the last one read.
    at: usize,
    /// The instruction that is being executed.
    instruction: usize,
}

impl<'a> Program<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, instruction: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// The offset of the instruction that is being executed, for errors.
    pub fn offset(&self) -> usize {
        self.instruction
    }

    /// Goes on to the next instruction.
    pub fn instruction(&mut self) -> Result<u8, PickleError> {
        self.instruction = self.at;
        Ok(self.take(1)?[0])
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(PickleError::Cut { offset: self.instruction })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of so many bytes, at most 8.
    pub fn number(&mut self, width: usize) -> Result<u64, PickleError> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Where the bytes are whose length, a number of `width` bytes, stands before them.
    pub fn counted(&mut self, width: usize) -> Result<Range<usize>, PickleError> {
        let length = usize::try_from(self.number(width)?).unwrap_or(usize::MAX);
        let start = self.at;
        self.take(length)?;
        Ok(start..self.at)
    }

    /// Where the rest of the line is.
    pub fn line(&mut self) -> Result<Range<usize>, PickleError> {
        let start = self.at;
        let length = self.bytes[start..].iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(PickleError::Cut { offset: self.instruction })?;
        self.at = start + length + 1;
        Ok(start..start + length)
    }

    /// The bytes of a range.
    pub fn get(&self, range: Range<usize>) -> &'a [u8] {
        &self.bytes[range]
    }
}

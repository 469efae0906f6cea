//! A reader of a file that arrives in pieces.

use super::Stop;

/// Size of a piece in bytes.
const PIECE: usize = 1 << 16;

/// A position in a file, and the end of the bytes that have arrived.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0, end: bytes.len() }
    }

    /// The same position with another end.
    pub(super) fn within(self, end: usize) -> Self {
        Self { end, ..self }
    }

    pub(super) fn at(self, place: usize) -> Self {
        Self { place, ..self }
    }

    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// The end of the piece of the last byte that was read.
    pub(super) fn piece_end(&self) -> usize {
        self.place.div_ceil(PIECE).saturating_mul(PIECE).min(self.bytes.len())
    }

    /// The end of the piece after the one that ends at `end`.
    pub(super) fn next_piece_end(&self, end: usize) -> Result<usize, Stop> {
        if end < self.bytes.len() { Ok(end.saturating_add(PIECE).min(self.bytes.len())) } else { Err(Stop::CutOff) }
    }

    /// Whether the file has one piece only.
    pub(super) fn is_one_piece(&self) -> bool {
        self.bytes.len() <= PIECE
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        let byte = self.bytes.get(self.place).filter(|_| self.place < self.end).ok_or(Stop::CutOff)?;
        self.place += 1;
        Ok(*byte)
    }

    pub(super) fn pair(&mut self) -> Result<u16, Stop> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let end = self.place.saturating_add(count);
        let taken = self.bytes.get(self.place..end).filter(|_| end <= self.end).ok_or(Stop::CutOff)?;
        self.place = end;
        Ok(taken)
    }

    /// Skips bytes, also beyond the end.
    pub(super) fn skip(&mut self, count: usize) {
        self.place = self.place.saturating_add(count);
    }

    /// Skips to the next marker and reads it.
    pub(super) fn next_marker(&mut self) -> Result<u8, Stop> {
        loop {
            let rest = self.bytes.get(self.place..self.end).ok_or(Stop::CutOff)?;
            let start = rest.iter().position(|&byte| byte == 0xff).ok_or(Stop::CutOff)?;
            self.skip(start);
            let marker = loop {
                match self.byte()? {
                    0xff => {}
                    other => break other,
                }
            };
            if marker != 0 {
                return Ok(marker);
            }
        }
    }
}

//! The headers of a JPEG file, as libjpeg reads them: tables, frame and scans.

use super::Stop;
use super::frame::{Frame, Process};
use super::huffman_table::TableBytes;
use super::reader::Reader;
use super::scan::Scan;

/// Number of tables of each kind.
const TABLES: usize = 4;

const WRONG_LENGTH: Stop = Stop::Broken("the length of a table is wrong");
const WRONG_NUMBER: Stop = Stop::Broken("a table has a number that is too large");

/// The state after the segments read so far.
#[derive(Clone, Default)]
pub(super) struct Headers<'a> {
    started: bool,
    pub frame: Option<Frame>,
    /// Which quantization tables are defined.
    pub quantization: [bool; TABLES],
    /// The Huffman tables, for DC and AC coefficients.
    pub dc: [Option<TableBytes<'a>>; TABLES],
    pub ac: [Option<TableBytes<'a>>; TABLES],
    /// Number of MCUs between restart markers; 0 without restarts.
    pub restart_interval: u16,
    /// Whether there is a JFIF header.
    pub jfif: bool,
    /// The color transform in an Adobe header.
    pub adobe: Option<u8>,
}

/// What ends a sequence of segments.
pub(super) enum Found {
    Scan(Scan),
    End,
}

impl<'a> Headers<'a> {
    /// Reads up to the first scan. Files with only tables may precede it.
    pub(super) fn first_scan(&mut self, reader: &mut Reader<'a>) -> Result<Scan, Stop> {
        loop {
            if reader.take(2)? != b"\xff\xd8" {
                return Err(Stop::Broken("it does not start as a JPEG file does"));
            }
            match self.read(reader, Some(0xd8))? {
                Found::Scan(scan) => return Ok(scan),
                Found::End if self.frame.is_some() => return Err(Stop::Broken("it has no scan")),
                Found::End => self.started = false,
            }
        }
    }

    /// Reads up to a scan or the end marker. `unread` is a marker that is already read.
    pub(super) fn read(&mut self, reader: &mut Reader<'a>, mut unread: Option<u8>) -> Result<Found, Stop> {
        loop {
            let marker = match unread.take() {
                Some(marker) => marker,
                None => reader.next_marker()?,
            };
            match marker {
                0xd8 => self.start_file()?,
                0xc0 | 0xc1 => self.read_frame(reader, Process::Sequential, false)?,
                0xc2 => self.read_frame(reader, Process::Progressive, false)?,
                0xc3 => self.read_frame(reader, Process::Lossless, false)?,
                0xc9 => self.read_frame(reader, Process::Sequential, true)?,
                0xca => self.read_frame(reader, Process::Progressive, true)?,
                0xda => {
                    let frame = self.frame.as_ref().ok_or(Stop::Broken("a scan comes before the frame"))?;
                    return Scan::read(reader, frame).map(Found::Scan);
                }
                0xd9 => return Ok(Found::End),
                0xcc => conditioning(reader)?,
                0xc4 => self.huffman_tables(reader)?,
                0xdb => self.quantization_tables(reader)?,
                0xdd => {
                    if reader.pair()? != 4 {
                        return Err(Stop::Broken("the length of a restart interval is wrong"));
                    }
                    self.restart_interval = reader.pair()?;
                }
                0xe0 | 0xee => self.application(reader, marker)?,
                0xe1..=0xef | 0xfe | 0xdc => {
                    let length = reader.pair()?;
                    reader.skip(usize::from(length).saturating_sub(2));
                }
                0x01 | 0xd0..=0xd7 => {}
                0xc5..=0xcf => return Err(Stop::Broken("its kind of coding is not supported")),
                _ => return Err(Stop::Broken("it has an unknown marker")),
            }
        }
    }

    fn start_file(&mut self) -> Result<(), Stop> {
        if self.started {
            return Err(Stop::Broken("it starts twice"));
        }
        self.started = true;
        self.restart_interval = 0;
        self.jfif = false;
        self.adobe = None;
        Ok(())
    }

    fn read_frame(&mut self, reader: &mut Reader<'a>, process: Process, arithmetic: bool) -> Result<(), Stop> {
        if self.frame.is_some() {
            return Err(Stop::Broken("it has two frames"));
        }
        self.frame = Some(Frame::read(reader, process, arithmetic)?);
        Ok(())
    }

    fn huffman_tables(&mut self, reader: &mut Reader<'a>) -> Result<(), Stop> {
        let mut left = usize::from(reader.pair()?).checked_sub(2).ok_or(WRONG_LENGTH)?;
        while left > 16 {
            let number = reader.byte()?;
            let counts = reader.take(16)?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            left -= 17;
            if count > 256 || count > left {
                return Err(Stop::Broken("a Huffman table has a code too many"));
            }
            let symbols = reader.take(count)?;
            left -= count;
            let tables = if number & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let table = tables.get_mut(usize::from(number & !0x10)).ok_or(WRONG_NUMBER)?;
            *table = counts.try_into().ok().map(|counts| TableBytes { counts, symbols });
        }
        (left == 0).then_some(()).ok_or(WRONG_LENGTH)
    }

    fn quantization_tables(&mut self, reader: &mut Reader<'a>) -> Result<(), Stop> {
        let mut left = usize::from(reader.pair()?).checked_sub(2).ok_or(WRONG_LENGTH)?;
        while left > 0 {
            let number = reader.byte()?;
            let table = self.quantization.get_mut(usize::from(number & 15)).ok_or(WRONG_NUMBER)?;
            let size = if number < 16 { 64 } else { 128 };
            reader.take(size)?;
            *table = true;
            left = left.checked_sub(1 + size).ok_or(WRONG_LENGTH)?;
        }
        Ok(())
    }

    /// Reads an application segment that determines the color space.
    fn application(&mut self, reader: &mut Reader<'a>, marker: u8) -> Result<(), Stop> {
        let length = usize::from(reader.pair()?).saturating_sub(2);
        let start = reader.take(length.min(14))?;
        match (marker, start) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, ..]) if start.len() == 14 => self.jfif = true,
            (0xee, &[b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => self.adobe = Some(transform),
            _ => {}
        }
        reader.skip(length - start.len());
        Ok(())
    }
}

/// Checks the conditioning tables of arithmetic coding.
fn conditioning(reader: &mut Reader) -> Result<(), Stop> {
    let mut left = usize::from(reader.pair()?).checked_sub(2).ok_or(WRONG_LENGTH)?;
    while left > 0 {
        let (number, value) = (reader.byte()?, reader.byte()?);
        if number >= 32 || number < 16 && value & 15 > value >> 4 {
            return Err(Stop::Broken("the conditioning of its arithmetic coding is wrong"));
        }
        left = left.checked_sub(2).ok_or(WRONG_LENGTH)?;
    }
    Ok(())
}

//! The scan headers of a JPEG file: components and number of blocks.

use super::Stop;
use super::frame::{Component, Frame, Process};
use super::reader::Reader;

/// The most blocks of an MCU (minimum coded unit).
const MOST_BLOCKS: u32 = 10;

/// A component of a scan: its index in the frame, and the numbers of its Huffman tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub component: usize,
    pub dc: u8,
    pub ac: u8,
}

/// A scan header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub parts: Vec<Part>,
    /// First and last coefficient (spectral selection).
    pub first: u8,
    pub last: u8,
    /// Point transform of the previous scan of these coefficients, and of this one (successive approximation).
    pub bit_before: u8,
    pub bit: u8,
}

impl Scan {
    pub(super) fn read(reader: &mut Reader, frame: &Frame) -> Result<Self, Stop> {
        let length = reader.pair()?;
        let count = reader.byte()?;
        if length != 6 + 2 * u16::from(count) || !(1..=4).contains(&count) {
            return Err(Stop::Broken("the length of a scan header is wrong"));
        }
        let mut parts: Vec<Part> = Vec::new();
        for _ in 0..count {
            let (id, tables) = (reader.byte()?, reader.byte()?);
            // Several components may have the same id, and their order distinguishes them. So libjpeg requires the
            // components of a scan in the order of the frame.
            let mut named = (parts.len()..).zip(frame.components.iter().skip(parts.len()));
            let component = named.find_map(|(place, component)| (component.id == id).then_some(place));
            match component.filter(|&place| parts.iter().all(|part| part.component != place)) {
                Some(component) => parts.push(Part { component, dc: tables >> 4, ac: tables & 15 }),
                None => return Err(Stop::Broken("a scan has a component that the frame has not, or has it twice")),
            }
        }
        let (first, last, bits) = (reader.byte()?, reader.byte()?, reader.byte()?);
        Ok(Self { parts, first, last, bit_before: bits >> 4, bit: bits & 15 })
    }

    /// The components of the scan, with their components of the frame.
    pub(super) fn components<'a>(&'a self, frame: &'a Frame) -> impl Iterator<Item = (Part, &'a Component)> {
        self.parts.iter().filter_map(|&part| Some((part, frame.components.get(part.component)?)))
    }

    /// Number of blocks (samples in a lossless frame) of a component in an MCU.
    pub(super) fn blocks(&self, component: &Component) -> u32 {
        match self.parts[..] {
            [_] => 1,
            _ => u32::from(component.across) * u32::from(component.down),
        }
    }

    /// Number of MCUs per row and per column.
    ///
    /// # Errors
    /// If an MCU has too many blocks.
    pub(super) fn units(&self, frame: &Frame) -> Result<(u64, u64), Stop> {
        let block = if frame.process == Process::Lossless { 1 } else { 8 };
        let (mut across, mut down) = (1, 1);
        if let ([_], Some((_, alone))) = (&self.parts[..], self.components(frame).next()) {
            (across, down) = (alone.across, alone.down);
        } else if self.components(frame).map(|(_, component)| self.blocks(component)).sum::<u32>() > MOST_BLOCKS {
            return Err(Stop::Broken("a scan has too many blocks that come together"));
        }
        let units = |size: u16, samples: u8, most: u8| {
            (u64::from(size) * u64::from(samples)).div_ceil(u64::from(most.max(1)) * block)
        };
        let most = (frame.most_across(), frame.most_down());
        Ok((units(frame.width, across, most.0), units(frame.height, down, most.1)))
    }

    /// Checks spectral selection and successive approximation.
    pub(super) fn check_progress(&self, process: Process) -> Result<(), Stop> {
        let fits = match process {
            Process::Sequential => true,
            Process::Progressive => {
                let band = match self.first {
                    0 => self.last == 0,
                    first => first <= self.last && self.last < 64 && self.parts.len() == 1,
                };
                band && (self.bit_before == 0 || self.bit + 1 == self.bit_before) && self.bit <= 13
            }
            Process::Lossless => {
                (1..=7).contains(&self.first) && self.last == 0 && self.bit_before == 0 && self.bit < 8
            }
        };
        fits.then_some(()).ok_or(Stop::Broken("a scan has coefficients or bits that it cannot have"))
    }
}

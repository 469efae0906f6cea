//! The frame header of a JPEG file: size and components.

use super::Stop;
use super::reader::Reader;

/// The smallest side that is too long for libjpeg.
const TOO_LONG: u16 = 65501;
/// The smallest number of components that Pillow does not read.
const TOO_MANY: u8 = 5;

/// The coding process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// DCT, one block at a time.
    Sequential,
    /// DCT, some bits of some coefficients per scan.
    Progressive,
    /// Differences of samples, without DCT.
    Lossless,
}

#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub process: Process,
    pub arithmetic: bool,
    pub width: u16,
    pub height: u16,
    pub components: Vec<Component>,
}

#[derive(Clone, Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Horizontal and vertical sampling factors.
    pub across: u8,
    pub down: u8,
    pub quantization: u8,
    /// Whether a scan has fixed its quantization table.
    pub quantized: bool,
}

impl Frame {
    pub(super) fn read(reader: &mut Reader, process: Process, arithmetic: bool) -> Result<Self, Stop> {
        let length = reader.pair()?;
        let precision = reader.byte()?;
        let height = reader.pair()?;
        let width = reader.pair()?;
        let count = reader.byte()?;
        if height == 0 || width == 0 || count == 0 {
            return Err(Stop::Broken("it has no pixels"));
        }
        if length != 8 + 3 * u16::from(count) {
            return Err(Stop::Broken("the length of its frame header is wrong"));
        }
        if precision != 8 {
            return Err(Stop::Broken("its samples do not have 8 bits"));
        }
        if height >= TOO_LONG || width >= TOO_LONG {
            return Err(Stop::Broken("it has too many rows or columns for a JPEG decoder"));
        }
        if count >= TOO_MANY {
            return Err(Stop::Broken("it has too many components"));
        }
        let mut components = Vec::new();
        for _ in 0..count {
            let &[id, sampling, quantization] = reader.take(3)? else { return Err(Stop::CutOff) };
            let (across, down) = (sampling >> 4, sampling & 15);
            components.push(Component { id, across, down, quantization, quantized: false });
        }
        Ok(Self { process, arithmetic, width, height, components })
    }

    /// Whether there is more than one scan, given the number of components of the first.
    pub(super) fn in_several_scans(&self, components: usize) -> bool {
        components < self.components.len() || self.process == Process::Progressive
    }

    pub(super) fn most_across(&self) -> u8 {
        self.components.iter().map(|component| component.across).max().unwrap_or(1)
    }

    pub(super) fn most_down(&self) -> u8 {
        self.components.iter().map(|component| component.down).max().unwrap_or(1)
    }

    /// Checks whether libjpeg can upsample all components to one size.
    pub(super) fn check_sampling(&self) -> Result<(), Stop> {
        if self.components.iter().any(|each| !(1..=4).contains(&each.across) || !(1..=4).contains(&each.down)) {
            return Err(Stop::Broken("its sampling factors are not between 1 and 4"));
        }
        let (across, down) = (self.most_across(), self.most_down());
        if self.components.iter().any(|each| across % each.across != 0 || down % each.down != 0) {
            return Err(Stop::Broken("its sampling factors are not multiples of each other"));
        }
        Ok(())
    }
}

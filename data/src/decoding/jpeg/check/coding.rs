//! The entropy coding of a scan, and whether everything is there to decode it.

use super::Stop;
use super::entropy::{Mcu, Share};
use super::frame::{Frame, Process};
use super::headers::Headers;
use super::huffman_table::TableBytes;
use super::reader::Reader;
use super::scan::Scan;
use super::usual_tables;

/// The largest symbols of Huffman tables: for differences of DC coefficients, for differences of samples, and for AC coefficients.
const COEFFICIENT: u8 = 15;
const SAMPLE: u8 = 16;
const ANY: u8 = 255;

pub(super) struct Coding<'a> {
    /// Whether the coding is arithmetic; otherwise it is Huffman coding.
    pub arithmetic: bool,
    /// Number of MCUs (minimum coded units): groups of interleaved blocks, or samples in a lossless frame.
    units: u64,
    /// Number of MCUs between restart markers; 0 without restarts.
    restart_interval: u16,
    /// The share of each component in an MCU. Arithmetic and progressive coding need none.
    shares: Vec<Share<'a>>,
}

/// The frame at the first scan, if it can be decoded.
pub(super) fn frame(headers: &Headers) -> Result<Frame, Stop> {
    let frame = headers.frame.clone().ok_or(Stop::Broken("it has no frame"))?;
    frame.check_sampling()?;
    let converted = match frame.components.len() {
        1 => false,
        3 => headers.jfif || headers.adobe.is_some_and(|transform| transform != 0),
        _ => headers.adobe.is_some_and(|transform| transform != 0),
    };
    if converted && frame.process == Process::Lossless {
        return Err(Stop::Broken("it is lossless, and its colors would have to be converted"));
    }
    Ok(frame)
}

impl<'a> Coding<'a> {
    /// The coding of a scan, if its tables are valid.
    pub(super) fn new(scan: &Scan, headers: &mut Headers<'a>) -> Result<Self, Stop> {
        let frame = headers.frame.as_mut().ok_or(Stop::Broken("it has no frame"))?;
        let (across, down) = scan.units(frame)?;
        scan.check_progress(frame.process)?;
        let restart_interval = headers.restart_interval;
        if frame.process == Process::Lossless {
            if u64::from(restart_interval) % across.max(1) != 0 {
                return Err(Stop::Broken("it is lossless, and its restart markers are not at the ends of rows"));
            }
        } else {
            quantize(scan, frame, &headers.quantization)?;
        }
        if frame.process == Process::Sequential && !frame.arithmetic {
            usual_tables::fill_in(&mut headers.dc, &mut headers.ac);
        }
        let shares = if frame.arithmetic { Vec::new() } else { shares(scan, frame, &headers.dc, &headers.ac)? };
        Ok(Self { arithmetic: frame.arithmetic, units: across * down, restart_interval, shares })
    }

    pub(super) fn restarts(&self) -> u64 {
        self.units.saturating_sub(1).checked_div(self.restart_interval.into()).unwrap_or(0)
    }

    /// The end of the piece that contains the last block. The reader is after the last restart marker.
    pub(super) fn last_piece(&self, reader: Reader<'a>) -> Result<usize, Stop> {
        if self.shares.is_empty() {
            return Err(Stop::CutOff);
        }
        let left = self.units.saturating_sub(self.restarts() * u64::from(self.restart_interval));
        Mcu::new(&self.shares, self.restart_interval == 0).last_piece(reader, left)
    }
}

/// Fixes the quantization tables of components that are in a scan for the first time.
fn quantize(scan: &Scan, frame: &mut Frame, tables: &[bool]) -> Result<(), Stop> {
    for part in &scan.parts {
        let Some(component) = frame.components.get_mut(part.component) else { continue };
        component.quantized |= tables.get(usize::from(component.quantization)) == Some(&true);
        if !component.quantized {
            return Err(Stop::Broken("a quantization table is missing"));
        }
    }
    Ok(())
}

type Tables<'a> = [Option<TableBytes<'a>>];

/// Checks the Huffman tables that a scan needs.
fn shares<'a>(scan: &Scan, frame: &Frame, dc: &Tables<'a>, ac: &Tables<'a>) -> Result<Vec<Share<'a>>, Stop> {
    let table = |tables: &Tables<'a>, number: u8, highest: u8| {
        let table = tables.get(usize::from(number)).copied().flatten();
        let table = table.ok_or(Stop::Broken("a Huffman table is missing"))?;
        table.check(highest).map(|()| table)
    };
    let mut shares = Vec::new();
    for (part, component) in scan.components(frame) {
        let blocks = scan.blocks(component);
        match frame.process {
            Process::Sequential => {
                let (dc, ac) = (table(dc, part.dc, COEFFICIENT)?, table(ac, part.ac, ANY)?);
                shares.push(Share { blocks, dc, ac: Some(ac) });
            }
            Process::Lossless => shares.push(Share { blocks, dc: table(dc, part.dc, SAMPLE)?, ac: None }),
            Process::Progressive if scan.first > 0 => _ = table(ac, part.ac, ANY)?,
            Process::Progressive if scan.bit_before == 0 => _ = table(dc, part.dc, COEFFICIENT)?,
            Process::Progressive => {}
        }
    }
    Ok(shares)
}

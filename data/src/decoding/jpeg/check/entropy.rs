//! The extent of Huffman-coded data.
//!
//! libjpeg reads ahead: it fills a buffer of 64 bits, and waits for more data if it cannot fill it, even if it does not need the
//! bits. So whether a file without end marker is complete depends on where the buffer is filled. Far from the end of a piece,
//! libjpeg-turbo takes a fast path, which fills the buffer at other places and by another number of bytes.

use super::Stop;
use super::huffman_table::{HuffmanTable, SHORT, TableBytes};
use super::reader::Reader;

/// Number of coefficients in a block.
const BLOCK: u32 = 64;
/// The most bytes of a block.
const BLOCK_BYTES: usize = 512;
/// The slow path fills the buffer up to this many bits.
const FULL: u32 = 57;
/// The fast path adds this many bytes if the buffer has at most [`FEW`] bits.
const BYTES: u32 = 6;
const FEW: u32 = 16;

/// The share of a component in an MCU (minimum coded unit).
#[derive(Clone, Copy, Debug)]
pub(super) struct Share<'a> {
    /// Number of consecutive blocks.
    pub blocks: u32,
    pub dc: TableBytes<'a>,
    /// `None` for a lossless frame.
    pub ac: Option<TableBytes<'a>>,
}

/// The tables of consecutive blocks.
struct Tables<'a> {
    blocks: u32,
    dc: HuffmanTable<'a>,
    ac: Option<HuffmanTable<'a>>,
}

/// The structure of an MCU.
pub(super) struct Mcu<'a> {
    shares: Vec<Tables<'a>>,
    /// Whether libjpeg-turbo takes the fast path far from the end of a piece.
    may_be_fast: bool,
}

/// Why there are too few bits.
enum Halt {
    /// The piece ends.
    Waiting,
    /// A marker follows; the decoder continues with zeros.
    Marker,
}

/// The bit buffer.
#[derive(Clone, Copy)]
struct Bits<'a> {
    reader: Reader<'a>,
    buffer: u64,
    left: u32,
}

impl<'a> Mcu<'a> {
    pub(super) fn new(shares: &[Share<'a>], may_be_fast: bool) -> Self {
        let tables =
            |&Share { blocks, dc, ac }: &Share<'a>| Tables { blocks, dc: dc.table(), ac: ac.map(|ac| ac.table()) };
        let may_be_fast = may_be_fast && shares.iter().all(|share| share.ac.is_some());
        Self { shares: shares.iter().map(tables).collect(), may_be_fast }
    }

    /// The end of the piece that contains the last of `units` MCUs.
    pub(super) fn last_piece(&self, reader: Reader<'a>, units: u64) -> Result<usize, Stop> {
        let far = BLOCK_BYTES * self.blocks().count();
        let mut end = reader.piece_end();
        let mut bits = Bits { reader, buffer: 0, left: 0 };
        for _ in 0..units {
            bits = loop {
                let now = Bits { reader: bits.reader.within(end), ..bits };
                if self.may_be_fast
                    && end.saturating_sub(now.reader.place()) >= far
                    && let Some(after) = self.fast(now)
                {
                    break after;
                }
                match self.slow(now) {
                    Ok(after) => break after,
                    Err(Halt::Marker) => return Ok(end),
                    // The decoder starts the MCU again.
                    Err(Halt::Waiting) => end = reader.next_piece_end(end)?,
                }
            };
        }
        Ok(end)
    }

    fn blocks(&self) -> impl Iterator<Item = &Tables<'a>> {
        self.shares.iter().flat_map(|tables| (0..tables.blocks).map(move |_| tables))
    }

    /// The buffer after an MCU, by the slow path.
    fn slow(&self, mut bits: Bits<'a>) -> Result<Bits<'a>, Halt> {
        for Tables { dc, ac, .. } in self.blocks() {
            let size = bits.symbol(dc)?;
            // Size 16, a difference of half the range of samples, has no further bits.
            if size < 16 {
                bits.drop(size.into())?;
            }
            let Some(ac) = ac else { continue };
            let mut place = 1;
            while place < BLOCK {
                let symbol = bits.symbol(ac)?;
                let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                if size == 0 && zeros < 15 {
                    break;
                }
                bits.drop(size)?;
                place += zeros + 1;
            }
        }
        Ok(bits)
    }

    /// The buffer after an MCU, by the fast path; `None` if there is a marker.
    fn fast(&self, mut bits: Bits<'a>) -> Option<Bits<'a>> {
        for Tables { dc, ac, .. } in self.blocks() {
            let size = u32::from(bits.fast_symbol(dc)?);
            bits.fast_drop(size)?;
            let Some(ac) = ac else { continue };
            let mut place = 1;
            while place < BLOCK {
                let symbol = bits.fast_symbol(ac)?;
                let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                if size == 0 && zeros < 15 {
                    break;
                }
                bits.fast_drop(size)?;
                place += zeros + 1;
            }
        }
        Some(bits)
    }
}

impl Bits<'_> {
    /// Adds a byte to the buffer. The slow path takes several 0xff in a row for one.
    fn load(&mut self, fast: bool) -> Result<(), Halt> {
        let byte = self.reader.byte().map_err(|_| Halt::Waiting)?;
        if byte == 0xff {
            let marker = loop {
                match self.reader.byte().map_err(|_| Halt::Waiting)? {
                    0xff if !fast => {}
                    other => break other,
                }
            };
            if marker != 0 {
                return Err(Halt::Marker);
            }
        }
        self.buffer = self.buffer << 8 | u64::from(byte);
        self.left += 8;
        Ok(())
    }

    /// Fills the buffer if it has fewer than `count` bits.
    fn want(&mut self, count: u32) -> Result<(), Halt> {
        if self.left < count {
            while self.left < FULL {
                self.load(false)?;
            }
        }
        Ok(())
    }

    fn drop(&mut self, count: u32) -> Result<(), Halt> {
        self.want(count)?;
        self.left -= count;
        Ok(())
    }

    /// The next `count` bits. The buffer must have them.
    fn next(&self, count: u32) -> u32 {
        (self.buffer >> (self.left - count)) as u32 & ((1 << count) - 1)
    }

    fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, Halt> {
        self.want(SHORT)?;
        let (mut length, symbol) = table.short(self.next(SHORT) as u8);
        if length <= SHORT {
            self.left -= length;
            return Ok(symbol);
        }
        self.want(length)?;
        let mut code = self.next(length);
        self.left -= length;
        loop {
            if let Some(symbol) = table.symbol(code, length) {
                return Ok(symbol);
            }
            self.want(1)?;
            code = code << 1 | self.next(1);
            self.left -= 1;
            length += 1;
        }
    }

    fn fast_want(&mut self) -> Option<()> {
        if self.left <= FEW {
            for _ in 0..BYTES {
                self.load(true).ok()?;
            }
        }
        Some(())
    }

    fn fast_drop(&mut self, count: u32) -> Option<()> {
        // Without further bits, libjpeg-turbo does not fill the buffer.
        if count > 0 {
            self.fast_want()?;
            self.left -= count;
        }
        Some(())
    }

    fn fast_symbol(&mut self, table: &HuffmanTable) -> Option<u8> {
        self.fast_want()?;
        let (mut length, symbol) = table.short(self.next(SHORT) as u8);
        if length <= SHORT {
            self.left -= length;
            return Some(symbol);
        }
        let mut code = self.next(length);
        self.left -= length;
        loop {
            if let Some(symbol) = table.symbol(code, length) {
                return Some(symbol);
            }
            code = code << 1 | self.next(1);
            self.left -= 1;
            length += 1;
        }
    }
}

//! How far Huffman-coded data go.
//!
//! libjpeg reads ahead: when bits run short it fills a buffer of 64 bits, and it waits for more data if it cannot fill it,
//! even if it needs none of them. Whether a file without an end marker is whole therefore depends on where in the data the
//! buffer was filled. While a piece of data is far from its end, it fills another number of bytes at other times.

use super::Stop;
use super::huffman_table::{HuffmanTable, SHORT, TableBytes};
use super::reader::Reader;

/// Coefficients in a block.
const BLOCK: u32 = 64;
/// A block takes no more bytes than this.
const BLOCK_BYTES: usize = 512;
/// The buffer is filled up to this many bits, ...
const FULL: u32 = 57;
/// ... or, far from the end, by this many bytes where it has no more than so many bits.
const BYTES: u32 = 6;
const FEW: u32 = 16;

/// A component's share in the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share<'a> {
    /// Blocks that follow each other.
    pub blocks: u32,
    pub dc: TableBytes<'a>,
    /// There are none for samples.
    pub ac: Option<TableBytes<'a>>,
}

/// The tables of blocks that follow each other.
struct Tables<'a> {
    blocks: u32,
    dc: HuffmanTable<'a>,
    ac: Option<HuffmanTable<'a>>,
}

/// Blocks that come together.
pub(super) struct Unit<'a> {
    shares: Vec<Tables<'a>>,
    /// Whether there is another way to read them far from the end.
    may_hurry: bool,
}

/// Why there are no more bits.
enum Halt {
    /// More data may come.
    Waiting,
    /// From here on there are zeros.
    Marker,
}

/// Bits that are read but not used yet.
#[derive(Clone, Copy)]
struct Bits<'a> {
    reader: Reader<'a>,
    buffer: u64,
    left: u32,
}

impl<'a> Unit<'a> {
    pub(super) fn new(shares: &[Share<'a>], may_hurry: bool) -> Self {
        let tables =
            |&Share { blocks, dc, ac }: &Share<'a>| Tables { blocks, dc: dc.table(), ac: ac.map(|ac| ac.table()) };
        let may_hurry = may_hurry && shares.iter().all(|share| share.ac.is_some());
        Self { shares: shares.iter().map(tables).collect(), may_hurry }
    }

    /// Where the piece of data ends that has the last of so many units. There has to be one.
    pub(super) fn last_piece(&self, reader: Reader<'a>, units: u64) -> Result<usize, Stop> {
        let far = BLOCK_BYTES * self.blocks().count();
        let mut end = reader.piece_end();
        let mut bits = Bits { reader, buffer: 0, left: 0 };
        for _ in 0..units {
            bits = loop {
                let now = Bits { reader: bits.reader.within(end), ..bits };
                if self.may_hurry
                    && end.saturating_sub(now.reader.place()) >= far
                    && let Some(after) = self.hurried(now)
                {
                    break after;
                }
                match self.careful(now) {
                    Ok(after) => break after,
                    Err(Halt::Marker) => return Ok(end),
                    // It starts again with the unit.
                    Err(Halt::Waiting) => end = reader.next_piece_end(end)?,
                }
            };
        }
        Ok(end)
    }

    fn blocks(&self) -> impl Iterator<Item = &Tables<'a>> {
        self.shares.iter().flat_map(|tables| (0..tables.blocks).map(move |_| tables))
    }

    /// What is left after a unit, with as little data as possible.
    fn careful(&self, mut bits: Bits<'a>) -> Result<Bits<'a>, Halt> {
        for Tables { dc, ac, .. } in self.blocks() {
            let size = bits.symbol(dc)?;
            // A difference of samples by half their range needs no bits.
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

    /// What is left after a unit, where there are data enough for it; nothing if there is a marker among them.
    fn hurried(&self, mut bits: Bits<'a>) -> Option<Bits<'a>> {
        for Tables { dc, ac, .. } in self.blocks() {
            let size = u32::from(bits.hurried_symbol(dc)?);
            bits.hurried_drop(size)?;
            let Some(ac) = ac else { continue };
            let mut place = 1;
            while place < BLOCK {
                let symbol = bits.hurried_symbol(ac)?;
                let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                if size == 0 && zeros < 15 {
                    break;
                }
                bits.hurried_drop(size)?;
                place += zeros + 1;
            }
        }
        Some(bits)
    }
}

impl Bits<'_> {
    /// Puts one more byte into the buffer. Several 0xff in a row are as good as one, but not to one who hurries.
    fn load(&mut self, hurried: bool) -> Result<(), Halt> {
        let byte = self.reader.byte().map_err(|_| Halt::Waiting)?;
        if byte == 0xff {
            let marker = loop {
                match self.reader.byte().map_err(|_| Halt::Waiting)? {
                    0xff if !hurried => {}
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

    /// Makes sure that there are so many bits.
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

    /// The next bits, of which there are enough.
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

    fn hurried_want(&mut self) -> Option<()> {
        if self.left <= FEW {
            for _ in 0..BYTES {
                self.load(true).ok()?;
            }
        }
        Some(())
    }

    fn hurried_drop(&mut self, count: u32) -> Option<()> {
        // What needs no bits does not look for them.
        if count > 0 {
            self.hurried_want()?;
            self.left -= count;
        }
        Some(())
    }

    fn hurried_symbol(&mut self, table: &HuffmanTable) -> Option<u8> {
        self.hurried_want()?;
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

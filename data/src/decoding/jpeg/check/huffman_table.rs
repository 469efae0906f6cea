//! Huffman tables: validity and lookup.

use super::Stop;

/// Codes of up to this many bits are found with one lookup.
pub(super) const SHORT: u32 = 8;
const LONGEST: usize = 16;

/// A table as in the file: the number of codes of each length, and the symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableBytes<'a> {
    pub counts: &'a [u8; LONGEST],
    pub symbols: &'a [u8],
}

/// A table for lookup.
pub(super) struct HuffmanTable<'a> {
    symbols: &'a [u8],
    /// Length and symbol of the code that starts with the given 8 bits. Length 9 stands for longer codes.
    short: [(u8, u8); 1 << SHORT],
    /// The last code of each length, if there is one.
    last: [Option<u32>; LONGEST + 1],
    /// For each length, the index of the first symbol minus the first code.
    shift: [i32; LONGEST + 1],
}

impl<'a> TableBytes<'a> {
    /// For each length from 1: the first code, the number of codes, and the number of shorter codes.
    fn lengths(self) -> impl Iterator<Item = (u32, u32, usize)> {
        let mut code = 0;
        let mut before = 0;
        self.counts.iter().map(move |&count| {
            let length = (code, u32::from(count), before);
            code = (code + u32::from(count)) << 1;
            before += usize::from(count);
            length
        })
    }

    /// Checks that the codes are prefix-free, that no code is all ones, and that no symbol is above `highest`.
    pub(super) fn check(self, highest: u8) -> Result<(), Stop> {
        let longest = self.counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1);
        let shortest = self.counts.iter().position(|&count| count != 0).unwrap_or(0);
        let mut lengths = (1..).zip(self.lengths()).take(longest).skip(shortest);
        if lengths.any(|(length, (first, count, _))| first + count >= 1u32 << length) {
            return Err(Stop::Broken("a Huffman table has a code too many"));
        }
        if self.symbols.iter().any(|&symbol| symbol > highest) {
            return Err(Stop::Broken("a Huffman table has a symbol that is too large"));
        }
        Ok(())
    }

    pub(super) fn table(self) -> HuffmanTable<'a> {
        let mut short = [(SHORT as u8 + 1, 0); 1 << SHORT];
        let mut last = [None; LONGEST + 1];
        let mut shift = [0; LONGEST + 1];
        for (length, (first, count, before)) in (1..=LONGEST).zip(self.lengths()) {
            if count == 0 {
                continue;
            }
            last[length] = Some(first + count - 1);
            shift[length] = before as i32 - first as i32;
            if length > SHORT as usize {
                continue;
            }
            let width = 1 << (SHORT as usize - length);
            let starts = short.chunks_mut(width).skip(first as usize);
            for (starts, &symbol) in starts.zip(self.symbols.iter().skip(before).take(count as usize)) {
                starts.fill((length as u8, symbol));
            }
        }
        HuffmanTable { symbols: self.symbols, short, last, shift }
    }
}

impl HuffmanTable<'_> {
    /// Length and symbol of the code that starts with these 8 bits; length 9 if the code is longer.
    pub(super) fn short(&self, start: u8) -> (u32, u8) {
        let (length, symbol) = self.short[usize::from(start)];
        (length.into(), symbol)
    }

    /// The symbol of a long code; `None` if the code has more bits. An invalid code, of 17 bits, stands for 0 as in libjpeg.
    pub(super) fn symbol(&self, code: u32, length: u32) -> Option<u8> {
        let length = length as usize;
        match (self.last.get(length), self.shift.get(length)) {
            (Some(&Some(last)), Some(shift)) if code <= last => {
                let place = usize::try_from(code as i32 + shift).ok();
                Some(place.and_then(|place| self.symbols.get(place)).copied().unwrap_or(0))
            }
            (Some(_), _) => None,
            (None, _) => Some(0),
        }
    }
}

//! Decides whether Pillow reads a JPEG file, without decoding pixels.
//!
//! Pillow walks through the segments itself, and then feeds the file to libjpeg-turbo in pieces. A file is refused if one of the
//! two refuses its headers, or if its data end before the last block. Wrong pixels are no reason for a refusal: after a marker
//! that ends the data early, the remaining blocks count as zeros.

mod coding;
mod entropy;
mod frame;
mod headers;
mod huffman_table;
mod opening;
mod reader;
mod resolution;
mod restarts;
mod scan;
pub(crate) mod usual_tables;

use coding::Coding;
use headers::{Found, Headers};
use reader::Reader;

use crate::decoding::decoder_errors::cut_off;

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The data end too early.
    CutOff,
    /// The file is invalid; the message says why.
    Broken(&'static str),
}

/// Checks whether Pillow reads the file.
///
/// # Errors
/// A message that says why it does not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    opening::walk(bytes).and_then(|()| decoding(bytes)).map_err(|stop| match stop {
        Stop::CutOff => cut_off("JPEG", bytes.len()),
        Stop::Broken(what) => what.into(),
    })
}

fn decoding(bytes: &[u8]) -> Result<(), Stop> {
    let mut reader = Reader::new(bytes);
    let mut headers = Headers::default();
    let scan = headers.first_scan(&mut reader)?;
    let several = coding::frame(&headers)?.in_several_scans(scan.parts.len());
    let mut coding = Coding::new(&scan, &mut headers)?;
    if !several {
        return single_scan(reader, &headers, &coding);
    }
    // The decoder outputs no pixel before the end marker. The data between markers do not matter: with too many, the decoder
    // skips to the next marker, with too few, it stops there.
    loop {
        let unread = pass_over(&mut reader, &coding)?;
        match headers.read(&mut reader, unread)? {
            Found::End => return Ok(()),
            Found::Scan(scan) => coding = Coding::new(&scan, &mut headers)?,
        }
    }
}

/// Passes over the restart intervals of a scan. Returns the marker that ends the scan, if it is already read.
fn pass_over(reader: &mut Reader, coding: &Coding) -> Result<Option<u8>, Stop> {
    if !coding.arithmetic {
        return restarts::pass(reader, coding.restarts());
    }
    // The arithmetic decoder cannot wait for more data: a scan must end in the piece in which it starts.
    let mut piece = reader.within(reader.piece_end());
    let unread = restarts::pass(&mut piece, coding.restarts()).and_then(|unread| match unread {
        Some(marker) => Ok(marker),
        None => piece.next_marker(),
    });
    let unread = unread.map_err(|_| Stop::Broken("its arithmetic coding reaches over more than one piece of data"))?;
    *reader = reader.at(piece.place());
    Ok(Some(unread))
}

/// Checks the only scan. The decoder outputs all rows once the last block is there. Later segments count if they are in the same
/// piece.
fn single_scan<'a>(mut reader: Reader<'a>, headers: &Headers<'a>, coding: &Coding<'a>) -> Result<(), Stop> {
    let unread = pass_over(&mut reader, coding)?;
    if unread.is_some() {
        let end = reader.piece_end();
        return epilogue(reader.within(end), headers, unread);
    }
    let start = reader;
    // A marker ends the data, and missing blocks count as zeros.
    let Ok(marker) = reader.next_marker() else {
        return coding.last_piece(start).map(|_| ());
    };
    let trouble = epilogue(reader, headers, Some(marker));
    if trouble.is_ok() || reader.is_one_piece() {
        return trouble;
    }
    match coding.last_piece(start)? {
        end if end < reader.place() => Ok(()),
        end => epilogue(reader.within(end), headers, Some(marker)),
    }
}

/// Checks the segments after the pixels. None need to follow.
fn epilogue<'a>(mut reader: Reader<'a>, headers: &Headers<'a>, unread: Option<u8>) -> Result<(), Stop> {
    match headers.clone().read(&mut reader, unread) {
        Ok(Found::End) | Err(Stop::CutOff) => Ok(()),
        Ok(Found::Scan(_)) => Err(Stop::Broken("it has one scan more than there are pixels for")),
        Err(broken) => Err(broken),
    }
}

#[cfg(test)]
mod tests;

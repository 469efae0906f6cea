//! Whether all pixels of a JPEG file can be had, without decoding any of them.
//!
//! Damaged files are refused where Pillow refuses them. It walks through the segments itself and then feeds the file to
//! libjpeg-turbo piece by piece; what matters is which headers these two take, and whether the data last until the final
//! block. Pixels that are wrong are no reason to refuse: where any marker stops the data, the rest counts as zeros.

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

/// Why no more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The data end too early.
    CutOff,
    /// Something is wrong.
    Broken(&'static str),
}

/// Whether the file is read whole; otherwise, why not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    opening::walk(bytes).and_then(|()| decoding(bytes)).map_err(|stop| match stop {
        Stop::CutOff => format!("the JPEG data is cut off after {} bytes", bytes.len()),
        Stop::Broken(what) => what.into(),
    })
}

fn decoding(bytes: &[u8]) -> Result<(), Stop> {
    let mut reader = Reader::new(bytes);
    let mut headers = Headers::default();
    let scan = headers.first_scan(&mut reader)?;
    let several = coding::frame(&headers)?.in_several_scans(&scan);
    let mut coding = Coding::new(&scan, &mut headers)?;
    if !several {
        return single_scan(reader, &headers, &coding);
    }
    // Until the end marker there is no pixel. What is between markers does not matter: a decoder that has enough of it looks
    // for the next marker, and one that has not stops there.
    loop {
        let unread = pass_over(&mut reader, &coding)?;
        match headers.read(&mut reader, unread)? {
            Found::End => return Ok(()),
            Found::Scan(scan) => coding = Coding::new(&scan, &mut headers)?,
        }
    }
}

/// Goes through the restarts of a scan. The marker that ends it, if it is already read.
fn pass_over(reader: &mut Reader, coding: &Coding) -> Result<Option<u8>, Stop> {
    if !coding.arithmetic {
        return restarts::pass(reader, coding.restarts());
    }
    // This decoder cannot wait for more data: the marker that ends the scan has to be in the piece in which it starts.
    let mut piece = reader.within(reader.piece_end());
    let unread = restarts::pass(&mut piece, coding.restarts()).and_then(|unread| match unread {
        Some(marker) => Ok(marker),
        None => piece.next_marker(),
    });
    let unread = unread.map_err(|_| Stop::Broken("its arithmetic coding reaches over more than one piece of data"))?;
    *reader = reader.at(piece.place());
    Ok(Some(unread))
}

/// All rows of a single scan come out once its last block is there. What follows it counts as far as it is there by then.
fn single_scan<'a>(mut reader: Reader<'a>, headers: &Headers<'a>, coding: &Coding<'a>) -> Result<(), Stop> {
    let unread = pass_over(&mut reader, coding)?;
    if unread.is_some() {
        let end = reader.piece_end();
        return epilogue(reader.within(end), headers, unread);
    }
    let start = reader;
    // A marker stops the data, and then zeros are as good as data.
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

/// Whether nothing wrong follows the pixels. That nothing follows is not wrong.
fn epilogue<'a>(mut reader: Reader<'a>, headers: &Headers<'a>, unread: Option<u8>) -> Result<(), Stop> {
    match headers.clone().read(&mut reader, unread) {
        Ok(Found::End) | Err(Stop::CutOff) => Ok(()),
        Ok(Found::Scan(_)) => Err(Stop::Broken("it has one scan more than there are pixels for")),
        Err(broken) => Err(broken),
    }
}

#[cfg(test)]
mod tests;

//! Pickles with the opcodes that Python 2's cPickle wrote with protocol 2.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Pickles a short string.
fn string(text: &str) -> Vec<u8> {
    [&[b'U', text.len() as u8], text.as_bytes()].concat()
}

/// Pickles a list of labels, which are appended a thousand at a time.
fn list(labels: &[u8], memo: u8) -> Vec<u8> {
    let mut bytes = vec![b']', b'q', memo];
    for labels in labels.chunks(1000) {
        bytes.push(b'(');
        labels.iter().for_each(|&label| bytes.extend([b'K', label]));
        bytes.push(b'e');
    }
    bytes
}

/// Writes a batch of a CIFAR archive: lists of labels, and an array with this number of pixel bytes in rows of 3072. The pixels are
/// zeros, which the file system need not store. Returns the offset of the pixels.
pub fn write(path: &Path, labels: &[(&str, &[u8])], pixels: usize) -> usize {
    let mut head = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03".to_vec();
    for (memo, (entry, labels)) in (0x20..).zip(labels) {
        head.extend(string(entry));
        head.extend(list(labels, memo));
    }
    let rows = labels.iter().map(|(_, labels)| labels.len().next_multiple_of(10_000)).max().unwrap_or(0) as u32;
    head.extend(b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07");
    head.extend(b"cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09");
    // The state of an array: version, shape, type, column order, bytes.
    head.extend(b"(K\x01J");
    head.extend(rows.to_le_bytes());
    head.extend(b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b");
    head.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    head.extend((pixels as u32).to_le_bytes());
    let mut tail = b"tbU\tfilenamesq\x0c]q\x0d(".to_vec();
    for index in 0..100u8 {
        tail.extend(b"U\x13leptodactylus_s.pngr");
        tail.extend([index, 1, 0, 0]);
    }
    tail.extend(b"eu.");
    std::fs::write(path, &head).unwrap();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start((head.len() + pixels) as u64)).unwrap();
    file.write_all(&tail).unwrap();
    head.len()
}

/// Writes a dictionary with one list of names.
#[allow(dead_code, reason = "only one of the archives has names in a pickle")]
pub fn write_names(path: &Path, entry: &str, names: &[&str]) {
    let names: Vec<u8> = names.iter().flat_map(|name| string(name)).collect();
    std::fs::write(path, [b"\x80\x02}q\x01(", &string(entry)[..], b"](", &names, b"eu."].concat()).unwrap();
}

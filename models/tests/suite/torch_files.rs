//! Writes small files as `torch.save` does.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What is saved.
pub enum Saved {
    Dict(Vec<(String, Saved)>),
    List(Vec<Saved>),
    Int(u8),
    Tensor(Vec<usize>, f32),
}

/// A dictionary of tensors that are all of one number, with names after a prefix.
pub fn dict(prefix: &str, shapes: &[(String, Vec<usize>)], value: f32) -> Saved {
    let tensor =
        |(name, shape): &(String, Vec<usize>)| (format!("{prefix}{name}"), Saved::Tensor(shape.clone(), value));
    Saved::Dict(shapes.iter().map(tensor).collect())
}

/// Names and what is saved under them.
pub fn named<const N: usize>(items: [(&str, Saved); N]) -> Saved {
    Saved::Dict(items.into_iter().map(|(name, saved)| (name.to_owned(), saved)).collect())
}

/// Both dictionaries in one.
pub fn joined(one: Saved, other: Saved) -> Saved {
    match (one, other) {
        (Saved::Dict(mut one), Saved::Dict(other)) => {
            one.extend(other);
            Saved::Dict(one)
        }
        _ => panic!("not two dictionaries"),
    }
}

/// The zip archive of PyTorch. A tensor is an expanded view of a storage of one number, so that files are small.
pub fn archive(saved: &Saved) -> Vec<u8> {
    let mut pickle = b"\x80\x02".to_vec();
    let mut numbers = Vec::new();
    put(&mut pickle, &mut numbers, saved);
    pickle.push(b'.');
    let storages = numbers.iter().enumerate().map(|(key, value)| (format!("data/{key}"), value.to_le_bytes().to_vec()));
    zip(&pickle, storages, CompressionMethod::Stored)
}

/// An archive with this pickle and these members.
pub fn zip(
    pickle: &[u8],
    members: impl IntoIterator<Item = (String, Vec<u8>)>,
    compression: CompressionMethod,
) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression);
    for (name, bytes) in [("data.pkl".to_owned(), pickle.to_vec())].into_iter().chain(members) {
        archive.start_file(format!("archive/{name}"), options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The pickles in a row of PyTorch before 1.6, without storages.
pub fn legacy(pickle: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    [magic, &b"\x80\x02M\xe9\x03."[..], b"\x80\x02}.", pickle, b"\x80\x02]."].concat()
}

fn put(pickle: &mut Vec<u8>, numbers: &mut Vec<f32>, saved: &Saved) {
    match saved {
        Saved::Dict(items) => {
            pickle.extend(b"}(");
            for (name, value) in items {
                text(pickle, name);
                put(pickle, numbers, value);
            }
            pickle.push(b'u');
        }
        Saved::List(items) => {
            pickle.extend(b"](");
            items.iter().for_each(|item| put(pickle, numbers, item));
            pickle.push(b'e');
        }
        Saved::Int(value) => pickle.extend([b'K', *value]),
        Saved::Tensor(shape, value) => {
            let strides = vec![0; shape.len()];
            pickle.extend(tensor(&numbers.len().to_string(), 1, 0, shape, &strides));
            numbers.push(*value);
        }
    }
}

/// A call that makes a tensor of 32-bit floats.
pub fn tensor(key: &str, elements: u32, offset: u32, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let mut pickle = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    text(&mut pickle, "storage");
    pickle.extend(b"ctorch\nFloatStorage\n");
    text(&mut pickle, key);
    text(&mut pickle, "cpu");
    int(&mut pickle, elements);
    pickle.extend(b"tQ");
    int(&mut pickle, offset);
    for sizes in [shape, strides] {
        pickle.push(b'(');
        sizes.iter().for_each(|size| int(&mut pickle, *size as u32));
        pickle.push(b't');
    }
    pickle.extend(b"\x89Ntr\xff\xff\x00\x00R");
    pickle
}

pub fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn int(pickle: &mut Vec<u8>, value: u32) {
    pickle.push(b'J');
    pickle.extend(value.to_le_bytes());
}

/// A file with these bytes.
pub fn file(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

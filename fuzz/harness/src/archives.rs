//! Archives of datasets.

use std::io::Write;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use qare_data::fetch::{ArchiveFormat, ExpectedFile, FetchOptions, Limits, Source, fetch};
use tempfile::tempdir;

use crate::{choice, told};

const LIMITS: Limits = Limits { entries: 30, bytes: 1 << 20 };

/// Unpacks a zip archive, a compressed tar archive, or a tar archive. The last is compressed first, and gets the right checksums, so that
/// changed headers are read too.
pub fn file(bytes: &[u8]) {
    let Some((way, contents)) = choice(bytes, 3) else { return };
    let (format, ending) = if way == 0 { (ArchiveFormat::Zip, "zip") } else { (ArchiveFormat::TarGz, "tar.gz") };
    let archive = if way == 2 { compressed(&summed(contents)) } else { contents.to_vec() };
    let folder = tempdir().expect("a folder");
    let data = folder.path().join("data");
    let file_name = format!("toy.{ending}");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::write(data.join(&file_name), &archive).expect("a file");
    let source = Source {
        name: "toy".into(),
        urls: Vec::new(),
        file_name: file_name.clone(),
        format,
        size: None,
        md5: Md5::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect(),
        folder: "toy".into(),
        files: vec![ExpectedFile { path: "a.txt".into(), size: None }],
        limits: LIMITS,
    };
    let result = fetch(&source, &data, &FetchOptions { tries: 1, ..FetchOptions::default() }, &|_| {});
    let place = Path::new("data");
    let archive = place.join(&file_name);
    let found = found(folder.path());
    match result {
        Ok(_) => {
            let others = found.iter().filter(|(path, _)| !path.starts_with(place.join("toy")));
            assert!(others.map(|(path, _)| path).eq([&archive]), "files beside the folder: {found:?}");
            let inside = found.iter().filter(|(path, _)| *path != archive);
            assert!(
                inside.clone().map(|(_, bytes)| bytes).sum::<u64>() <= LIMITS.bytes,
                "larger than the limit: {found:?}"
            );
            assert!(inside.count() as u64 <= LIMITS.entries, "more than the limit: {found:?}");
        }
        Err(error) => {
            told(error);
            assert!(found.iter().map(|(path, _)| path).eq([&archive]), "files that were left: {found:?}");
        }
    }
}

/// The files below a folder with their sizes. Asserts that there are only files and folders.
fn found(root: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let kind = entry.file_type().expect("a file's kind");
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                assert!(kind.is_file(), "{} is neither a file nor a folder", entry.path().display());
                let path = entry.path().strip_prefix(root).expect("it is below").to_owned();
                found.push((path, entry.metadata().expect("a file's size").len()));
            }
        }
    }
    found.sort();
    found
}

/// The tar file with the right checksums in its headers.
fn summed(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for header in tar.as_chunks_mut::<512>().0.iter_mut().filter(|block| block[257..262] == *b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("an archive in memory");
    encoder.finish().expect("an archive in memory")
}

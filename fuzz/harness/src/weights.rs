//! Weights files, and pickles in archives that are sound otherwise.

use std::io::{Cursor, Write};

use qare_models::StateDict;
use tempfile::tempdir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{choice, told};

/// Reads a weights file, its tensors, and the backbone in it.
pub fn file(bytes: &[u8]) {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("weights.bin");
    std::fs::write(&path, bytes).expect("a file");
    let named = |text: String| assert!(text.contains("weights.bin"), "an error that names no file: {text}");
    let state = match StateDict::read(&path) {
        Ok(state) => state,
        Err(error) => return named(told(error)),
    };
    for name in state.names().take(100) {
        match state.tensor(name) {
            Ok(tensor) => {
                assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>(), "numbers of `{name}`");
                assert!(tensor.values.iter().all(|value| value.is_finite()), "numbers of `{name}`");
            }
            Err(error) => named(told(error)),
        }
    }
    if let Err(error) = state.find_backbone(None) {
        named(told(error));
    }
}

/// Reads a pickle as `torch.save` stores it: in a zip archive beside its storages, or between other pickles.
pub fn pickle(bytes: &[u8]) {
    let Some((way, pickle)) = choice(bytes, 3) else { return };
    if way == 2 {
        // Before it are a magic number, the version and a description of the system, after it an empty list of storages.
        let before = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
        return file(&[before, pickle, b"\x80\x02]."].concat());
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let compression = [CompressionMethod::Stored, CompressionMethod::Deflated][usize::from(way)];
    let options = SimpleFileOptions::default().compression_method(compression);
    let storages = [("data/0", 4 * 216), ("data/1", 4 * 8), ("data/2", 8)];
    let members = storages.map(|(name, bytes)| (name, vec![0; bytes]));
    for (name, bytes) in [("data.pkl", pickle.to_vec())].into_iter().chain(members) {
        archive.start_file(format!("archive/{name}"), options).expect("an archive in memory");
        archive.write_all(&bytes).expect("an archive in memory");
    }
    file(archive.finish().expect("an archive in memory").get_ref());
}

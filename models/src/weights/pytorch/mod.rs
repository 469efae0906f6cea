//! Files of `torch.save`, read without running anything of what they name.

mod container;
mod names;
mod saved;
mod storage;

use std::io::{Read, Seek};
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;

use super::error::WeightsError;
use super::state_dict::{Contents, StateDict};
use saved::{Node, Saved};

const FORMAT: &str = "PyTorch";

/// Loads a module from a file of `torch.save`; see [`StateDict::read_pytorch`].
///
/// # Errors
///
/// Those of [`StateDict::read_pytorch`] and [`StateDict::load_into`].
pub fn load_pytorch<B: Backend, M: Module<B>>(
    module: M,
    path: &Path,
    top_level_key: Option<&str>,
) -> Result<M, WeightsError> {
    StateDict::read_pytorch(path, top_level_key)?.load_into(module, "")
}

/// Whether a file that starts with these bytes looks like one of `torch.save`.
pub(super) fn is_pytorch(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || container::is_legacy(head)
}

/// What tensors a file has, by its pickles alone.
pub(super) fn read<R: Read + Seek>(
    file: &mut R,
    head: &[u8],
    path: &Path,
    top_level_key: Option<&str>,
) -> Result<Contents, WeightsError> {
    let damaged = |reason: String| WeightsError::damaged(path, FORMAT, reason);
    let bytes;
    let (saved, storages) = match container::is_legacy(head) {
        true => {
            bytes = container::start_of_legacy(file).map_err(damaged)?;
            container::legacy(&bytes, file).map_err(damaged)?
        }
        false => {
            let folder;
            (bytes, folder) = container::pickle_of_zip(file).map_err(damaged)?;
            let saved = Saved::read(&bytes).map_err(|error| damaged(format!("{folder}data.pkl: {error}")))?;
            let storages = container::storages_of_zip(&saved, &folder);
            (saved, storages)
        }
    };

    let no_weights = |reason: String| WeightsError::NoWeights { path: path.to_owned(), reason };
    let root = match top_level_key {
        Some(key) => saved
            .entry(saved.pickle.root(), key)
            .filter(|value| matches!(saved.node(*value), Node::Dict(_)))
            .ok_or_else(|| no_weights(format!("has no dictionary `{key}`{}", saved.dictionaries())))?,
        None => saved.pickle.root(),
    };
    let names = names::names_of(&saved, root).map_err(damaged)?;
    if names.is_empty() {
        return Err(no_weights(
            "has no tensors under names; save the `state_dict()` of a model and not the model".to_owned(),
        ));
    }
    Ok(Contents { names, views: saved.tensors, storages, ..Contents::default() })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::NamedTensor;
    use crate::weights::numbers;

    fn checkpoint(name: &str) -> (PathBuf, Vec<u8>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name);
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    }

    /// All tensors of numbers that weights are kept in.
    fn tensors(path: &Path, bytes: &[u8]) -> Result<Vec<NamedTensor>, WeightsError> {
        let file = &mut Cursor::new(bytes);
        let contents = read(file, bytes, path, None)?;
        let decodable = |view: usize| contents.storages[contents.views[view].storage].element.is_count();
        let named: Vec<_> = contents.names.iter().filter(|(_, view)| decodable(**view)).collect();
        let views: Vec<_> = named.iter().map(|(_, view)| &contents.views[**view]).collect();
        let values = numbers::read(file, &contents.storages, &views).map_err(|error| WeightsError::Damaged {
            path: path.to_owned(),
            format: FORMAT,
            reason: error.reason,
        })?;
        let tensor = |((name, view), values): (&(&String, &usize), _)| NamedTensor {
            name: (*name).clone(),
            shape: contents.views[**view].shape.clone(),
            values,
        };
        Ok(named.iter().zip(values).map(tensor).collect())
    }

    /// The archive has checksums: whichever byte is damaged, the tensors are the right ones or there is an error.
    #[test]
    fn damage_to_an_archive_is_noticed() {
        let (path, bytes) = checkpoint("checkpoint_zip.tar");
        let expected = tensors(&path, &bytes).unwrap();
        let mut errors = 0;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x15;
            match tensors(&path, &damaged) {
                Ok(found) => assert_eq!(found, expected, "byte {at}"),
                Err(error) => {
                    errors += 1;
                    assert!(error.to_string().contains("checkpoint_zip.tar"), "{error}");
                }
            }
        }
        assert!(errors > bytes.len() / 10, "{errors}");
    }

    /// No checksums here: numbers can be others, but there is no panic, and few bytes do not make many.
    #[test]
    fn damage_to_a_legacy_file_is_no_panic() {
        for name in ["checkpoint_legacy.tar", "odd_legacy.pt"] {
            let (path, bytes) = checkpoint(name);
            for (at, by) in (0..bytes.len()).flat_map(|at| [0x01, 0x15, 0xff].map(|by| (at, by))) {
                let mut damaged = bytes.clone();
                damaged[at] ^= by;
                if let Ok(found) = tensors(&path, &damaged) {
                    let values: usize = found.iter().map(|tensor| tensor.values.len()).sum();
                    assert!(values < bytes.len(), "byte {at}: {values} values");
                }
            }
        }
    }

    #[test]
    fn a_cut_file_is_an_error_at_any_length() {
        for name in ["checkpoint_zip.tar", "checkpoint_legacy.tar"] {
            let (path, bytes) = checkpoint(name);
            for length in 0..bytes.len() {
                let error = tensors(&path, &bytes[..length]).unwrap_err();
                assert!(matches!(error, WeightsError::Damaged { .. }), "{name}, {length} bytes: {error}");
            }
        }
    }

    /// A dictionary that holds itself, in a legacy file by hand.
    #[test]
    fn dictionaries_without_end_are_an_error() {
        let legacy = |saved: &[u8]| {
            let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
            [magic, &b"\x80\x02M\xe9\x03."[..], b"\x80\x02}.", saved, b"\x80\x02]."].concat()
        };
        let error = |saved: &[u8]| tensors(Path::new("x.pt"), &legacy(saved)).unwrap_err().to_string();
        assert!(error(b"\x80\x02}q\x00U\x01ah\x00s.").contains("nested too deeply"));

        // Each of 15 dictionaries holds the one before four times.
        let mut saved = b"\x80\x02}".to_vec();
        for level in 0..15u8 {
            saved.extend([b'q', level, b'}']);
            for name in b"abcd" {
                saved.extend([b'U', 1, *name, b'h', level, b's']);
            }
        }
        saved.push(b'.');
        assert!(error(&saved).contains("no end"), "{}", error(&saved));
    }
}

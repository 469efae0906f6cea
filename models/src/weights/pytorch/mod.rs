//! Files of `torch.save`, read without running anything of what they name.

mod calls;
mod machine;
mod pickle;
mod storages;

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;

use super::collect::NamedTensor;
use super::error::WeightsError;
use super::path::is_batch_counter;
use super::state_dict::StateDict;
use pickle::{Id, Object, Pickle, TensorView};
use storages::PytorchFile;

const FORMAT: &str = "PyTorch";
/// Dictionaries in dictionaries, at most.
const DEPTH: usize = 16;
/// Before each name, what wraps a network: DataParallel, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

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

/// Whether bytes look like a file of `torch.save`.
pub(super) fn is_pytorch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || PytorchFile::is_legacy(bytes)
}

pub(super) fn read(path: &Path, bytes: &[u8], top_level_key: Option<&str>) -> Result<StateDict, WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.to_owned(), format: FORMAT, reason };
    let no_weights = |reason: String| WeightsError::NoWeights { path: path.to_owned(), reason };
    let mut file = match PytorchFile::is_legacy(bytes) {
        true => PytorchFile::from_legacy(bytes),
        false => PytorchFile::from_zip(bytes),
    }
    .map_err(damaged)?;

    let root = match top_level_key {
        Some(key) => entry(&file.saved, file.saved.root, key)
            .filter(|id| matches!(file.saved.object(*id), Object::Dict(_)))
            .ok_or_else(|| no_weights(format!("has no dictionary `{key}`")))?,
        None => file.saved.root,
    };
    let mut names = Names { pickle: &file.saved, found: Vec::new(), left: 1_000_000 };
    names.collect(root, "", DEPTH).map_err(damaged)?;
    let found = names.found;
    if found.is_empty() {
        return Err(no_weights(
            "has no tensors under names; save the `state_dict()` of a model and not the model".to_owned(),
        ));
    }

    let mut tensors = Vec::with_capacity(found.len());
    let mut other_types = HashMap::new();
    for (name, view) in found {
        let values = file
            .values(&view, is_batch_counter(&name))
            .map_err(|reason| damaged(format!("tensor `{name}`: {reason}")))?;
        match values {
            Some(values) => tensors.push(NamedTensor { name, shape: view.shape, values }),
            None => _ = other_types.insert(name, view.storage.kind.trim_end_matches("Storage").to_owned()),
        }
    }
    Ok(StateDict::new(path, tensors, HashMap::new()).with_other_types(other_types))
}

/// The value of a text in a dictionary.
fn entry(pickle: &Pickle, dict: Id, name: &str) -> Option<Id> {
    match pickle.object(dict) {
        // The last one holds, as in Python.
        Object::Dict(items) => {
            items.iter().rev().find(|(key, _)| pickle.text(*key) == Some(name)).map(|(_, value)| *value)
        }
        _ => None,
    }
}

/// Collects the tensors of dictionaries in dictionaries, names joined by dots.
struct Names<'a> {
    pickle: &'a Pickle,
    found: Vec<(String, TensorView)>,
    /// How many entries may still be visited: dictionaries that hold each other have no end.
    left: usize,
}

impl Names<'_> {
    fn collect(&mut self, id: Id, prefix: &str, depth: usize) -> Result<(), String> {
        let Object::Dict(items) = self.pickle.object(id) else { return Ok(()) };
        // What an optimizer's state_dict has, whatever the name it was saved under.
        if ["state", "param_groups"].iter().all(|name| entry(self.pickle, id, name).is_some()) {
            return Ok(());
        }
        for (key, value) in items {
            let Some(mut name) = self.pickle.text(*key) else { continue };
            while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
                name = inner;
            }
            self.left = self.left.checked_sub(1).ok_or("its dictionaries have no end")?;
            let name = match prefix {
                "" => name.to_owned(),
                _ => format!("{prefix}.{name}"),
            };
            match self.pickle.object(*value) {
                Object::Tensor(view) => self.found.push((name, view.clone())),
                Object::Dict(_) if depth == 0 => return Err("its dictionaries are nested too deeply".to_owned()),
                Object::Dict(_) => self.collect(*value, &name, depth - 1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn checkpoint(name: &str) -> (PathBuf, Vec<u8>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name);
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    }

    fn tensors(state: &StateDict) -> Vec<NamedTensor> {
        state.names().map(|name| state.get(name).unwrap().clone()).collect()
    }

    /// The archive has checksums: whichever byte is damaged, the tensors are the right ones or there is an error.
    #[test]
    fn damage_to_an_archive_is_noticed() {
        let (path, bytes) = checkpoint("checkpoint_zip.tar");
        let expected = tensors(&read(&path, &bytes, None).unwrap());
        let mut errors = 0;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x15;
            match read(&path, &damaged, None) {
                Ok(state) => assert_eq!(tensors(&state), expected, "byte {at}"),
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
                if let Ok(state) = read(&path, &damaged, None) {
                    let values: usize = tensors(&state).iter().map(|tensor| tensor.values.len()).sum();
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
                let error = read(&path, &bytes[..length], None).unwrap_err();
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
        let error = |saved: &[u8]| read(Path::new("x.pt"), &legacy(saved), None).unwrap_err().to_string();
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

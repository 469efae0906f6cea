use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::backend::Backend;

use super::collect::{NamedTensor, named_tensors};
use super::error::WeightsError;
use super::{load, pytorch, safetensors_file};

/// The tensors of a weights file, on the host and under PyTorch's names.
#[derive(Clone, Debug)]
pub struct StateDict {
    path: PathBuf,
    tensors: BTreeMap<String, NamedTensor>,
    metadata: HashMap<String, String>,
}

impl StateDict {
    pub(super) fn new(
        path: &Path,
        tensors: impl IntoIterator<Item = NamedTensor>,
        metadata: HashMap<String, String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            tensors: tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect(),
            metadata,
        }
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`], [`WeightsError::Damaged`], and [`WeightsError::Type`] for tensors
    /// other than f32 (and i64 for the counter of batches).
    pub fn read_safetensors(path: &Path) -> Result<Self, WeightsError> {
        safetensors_file::read(path)
    }

    /// Reads a file of `torch.save`; of a dictionary of dictionaries, the one at `top_level_key`.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`], [`WeightsError::Damaged`] (also if the key is not there), and
    /// [`WeightsError::Type`] for tensors that are no floats.
    pub fn read_pytorch(path: &Path, top_level_key: Option<&str>) -> Result<Self, WeightsError> {
        pytorch::read(path, top_level_key)
    }

    /// The tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its full name.
    pub fn get(&self, name: &str) -> Option<&NamedTensor> {
        self.tensors.get(name)
    }

    /// Whether there are tensors under `prefix`.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|name| is_under(name, prefix))
    }

    /// The texts that go with the tensors (safetensors' `__metadata__`).
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Loads the tensors under `prefix` (all where it is empty) into `module`, on its devices:
    /// parameters, running statistics and counters, exactly those that the module has. Whether a
    /// parameter takes part in training stays as it was.
    ///
    /// Clones of the module share its running statistics and so receive those too.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Missing`], [`WeightsError::Unexpected`] or [`WeightsError::Shape`]. All is
    /// checked first: after an error nothing was changed.
    pub fn load_into<B: Backend, M: Module<B>>(&self, module: M, prefix: &str) -> Result<M, WeightsError> {
        let wanted = named_tensors(&module, prefix);
        for NamedTensor { name, shape, .. } in &wanted {
            let Some(found) = self.tensors.get(name) else {
                return Err(WeightsError::Missing {
                    path: self.path.clone(),
                    name: name.clone(),
                    expected: shape.clone(),
                });
            };
            if found.shape != *shape {
                return Err(WeightsError::Shape {
                    path: self.path.clone(),
                    name: name.clone(),
                    expected: shape.clone(),
                    found: found.shape.clone(),
                });
            }
        }

        let unexpected: Vec<String> = self
            .tensors
            .keys()
            .filter(|name| is_under(name, prefix))
            .filter(|name| wanted.iter().all(|tensor| tensor.name != **name))
            .cloned()
            .collect();
        if !unexpected.is_empty() {
            return Err(WeightsError::Unexpected { path: self.path.clone(), names: unexpected });
        }

        Ok(load::put(module, prefix, &self.tensors))
    }
}

fn is_under(name: &str, prefix: &str) -> bool {
    prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

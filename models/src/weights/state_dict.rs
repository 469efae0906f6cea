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
    /// Types of the tensors that are no floats, by name.
    other_types: HashMap<String, String>,
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
            other_types: HashMap::new(),
        }
    }

    pub(super) fn with_other_types(mut self, other_types: HashMap<String, String>) -> Self {
        self.other_types = other_types;
        self
    }

    /// Reads a safetensors file or one of `torch.save`, whichever it is by its contents.
    ///
    /// # Errors
    ///
    /// [`WeightsError::UnknownFormat`], and those of [`read_safetensors`](Self::read_safetensors) and
    /// [`read_pytorch`](Self::read_pytorch).
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = contents(path)?;
        let unknown = |reason| Err(WeightsError::UnknownFormat { path: path.to_owned(), reason });
        match () {
            _ if bytes.is_empty() => unknown("is empty"),
            _ if pytorch::is_pytorch(&bytes) => pytorch::read(path, &bytes, None),
            // Eight bytes of length, then JSON.
            _ if bytes.get(8) == Some(&b'{') => safetensors_file::read(path, &bytes),
            _ if bytes.get(257..262) == Some(b"ustar") => {
                unknown("is a tar archive; if it holds a checkpoint, unpack it and give the file inside")
            }
            _ => unknown("is neither a safetensors file nor one of torch.save"),
        }
    }

    /// Reads a safetensors file. Floats of any precision become f32; other tensors are left out, but for counters of
    /// batches.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`] and [`WeightsError::Damaged`].
    pub fn read_safetensors(path: &Path) -> Result<Self, WeightsError> {
        safetensors_file::read(path, &contents(path)?)
    }

    /// Reads a file of `torch.save`, be it the zip archive of PyTorch 1.6 and later or the format before; of a
    /// dictionary of dictionaries, the one at `top_level_key`, or all of them with names joined by dots.
    ///
    /// So a checkpoint `{"backbone": net.state_dict(), "optimizer": …}` has `backbone.conv1.weight` and so on. An
    /// optimizer's state and whatever is no tensor are left out, as are tensors that are no floats, but for counters of
    /// batches. Floats of any precision become f32. `module.` of DataParallel and `_orig_mod.` of `torch.compile`
    /// are taken off the names.
    ///
    /// Nothing that the file names is ever run.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`], [`WeightsError::Damaged`], and [`WeightsError::NoWeights`] if the key is not there, or if
    /// the file holds a whole model instead of its `state_dict()`.
    pub fn read_pytorch(path: &Path, top_level_key: Option<&str>) -> Result<Self, WeightsError> {
        pytorch::read(path, &contents(path)?, top_level_key)
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

    /// `prefix` if there are tensors under it, else the root: for files that hold one module's weights under a name of
    /// theirs or bare.
    pub fn prefix_or_root<'a>(&self, prefix: &'a str) -> &'a str {
        if self.has_prefix(prefix) { prefix } else { "" }
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
    /// [`WeightsError::Missing`], [`WeightsError::Unexpected`], [`WeightsError::Shape`] or, for a tensor that is no
    /// floats, [`WeightsError::Type`]. All is checked first: after an error nothing was changed.
    pub fn load_into<B: Backend, M: Module<B>>(&self, module: M, prefix: &str) -> Result<M, WeightsError> {
        let wanted = named_tensors(&module, prefix);
        for NamedTensor { name, shape, .. } in &wanted {
            if let Some(found) = self.other_types.get(name) {
                return Err(WeightsError::Type {
                    path: self.path.clone(),
                    name: name.clone(),
                    expected: "a float type",
                    found: found.clone(),
                });
            }
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

fn contents(path: &Path) -> Result<Vec<u8>, WeightsError> {
    std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })
}

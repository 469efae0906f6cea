use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::tensor::backend::Backend;

use super::collect::{NamedTensor, named_shapes};
use super::error::WeightsError;
use super::numbers::{self, Storage, View};
use super::path::{is_batch_counter, last_part};
use super::{load, pytorch, safetensors_header};

/// A tensor with strides of zero may have this many numbers, more than its storage.
const EXPANDED: usize = 1 << 20;

/// The tensors of a weights file, under PyTorch's names.
///
/// Their names, shapes and types are in memory; their numbers are read when they are asked for, from the file as it was
/// opened.
#[derive(Clone, Debug)]
pub struct StateDict {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    format: &'static str,
    contents: Contents,
}

/// What tensors a file has, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Indices of views by names.
    pub names: BTreeMap<String, usize>,
    pub views: Vec<View>,
    pub storages: Vec<Storage>,
    pub metadata: HashMap<String, String>,
}

impl StateDict {
    /// Reads a safetensors file or one of `torch.save`, whichever it is by its contents.
    ///
    /// # Errors
    ///
    /// [`WeightsError::UnknownFormat`], and those of [`read_safetensors`](Self::read_safetensors) and
    /// [`read_pytorch`](Self::read_pytorch).
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let (mut file, head) = open(path)?;
        let unknown = |reason| Err(WeightsError::UnknownFormat { path: path.to_owned(), reason });
        match () {
            _ if head.is_empty() => unknown("is empty"),
            _ if pytorch::is_pytorch(&head) => Self::of_pytorch(path, file, &head, None),
            // Eight bytes of length, then JSON.
            _ if head.get(8) == Some(&b'{') => {
                let contents = safetensors_header::read(&mut file, path)?;
                Ok(Self::new(path, file, "safetensors", contents))
            }
            _ if head.get(257..262) == Some(b"ustar") => {
                unknown("is a tar archive; if it holds a checkpoint, unpack it and give the file inside")
            }
            _ => unknown("is neither a safetensors file nor one of torch.save"),
        }
    }

    /// Reads a safetensors file. Tensors are floats of any precision, which become f32, and counters of batches.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`] and [`WeightsError::Damaged`].
    pub fn read_safetensors(path: &Path) -> Result<Self, WeightsError> {
        let (mut file, _) = open(path)?;
        let contents = safetensors_header::read(&mut file, path)?;
        Ok(Self::new(path, file, "safetensors", contents))
    }

    /// Reads a file of `torch.save`, be it the zip archive of PyTorch 1.6 and later or the format before; of a
    /// dictionary of dictionaries, the one at `top_level_key`, or all of them with names joined by dots.
    ///
    /// So a checkpoint `{"backbone": net.state_dict(), "optimizer": …}` has `backbone.conv1.weight` and so on. An
    /// optimizer's state and whatever is no tensor are left out. Floats of any precision become f32. What wraps a network
    /// (`module.` of DataParallel, `_orig_mod.` of `torch.compile`) is taken off the names.
    ///
    /// Nothing that the file names is ever run.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Io`], [`WeightsError::Damaged`], and [`WeightsError::NoWeights`] if the key is not there, or if
    /// the file holds a whole model instead of its `state_dict()`.
    pub fn read_pytorch(path: &Path, top_level_key: Option<&str>) -> Result<Self, WeightsError> {
        let (file, head) = open(path)?;
        Self::of_pytorch(path, file, &head, top_level_key)
    }

    fn of_pytorch(path: &Path, mut file: File, head: &[u8], key: Option<&str>) -> Result<Self, WeightsError> {
        let contents = pytorch::read(&mut file, head, path, key)?;
        Ok(Self::new(path, file, "PyTorch", contents))
    }

    fn new(path: &Path, file: File, format: &'static str, contents: Contents) -> Self {
        Self { path: path.to_owned(), file: Arc::new(Mutex::new(file)), format, contents }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.contents.names.keys().map(String::as_str)
    }

    /// The shape of a tensor, by its full name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.view(name).map(|view| &view.shape[..])
    }

    /// PyTorch's name for the type of a tensor's numbers, such as `float32`.
    pub fn element_type(&self, name: &str) -> Option<&'static str> {
        self.view(name).map(|view| self.contents.storages[view.storage].element.name())
    }

    /// Reads a tensor, by its full name.
    ///
    /// # Errors
    ///
    /// [`WeightsError::NoWeights`] if there is none of this name, [`WeightsError::Type`] if it is of no floats and no
    /// counter of batches, [`WeightsError::NotFinite`], [`WeightsError::Damaged`] and [`WeightsError::Io`].
    pub fn tensor(&self, name: &str) -> Result<NamedTensor, WeightsError> {
        let Some(view) = self.view(name) else {
            return Err(WeightsError::NoWeights { path: self.path.clone(), reason: format!("has no tensor `{name}`") });
        };
        self.check_type(name)?;
        let most = self.contents.storages[view.storage].elements.max(EXPANDED);
        if view.count().is_none_or(|count| count > most) {
            return Err(self.unreadable(name, format!("of shape {:?}, it is larger than its storage", view.shape)));
        }
        Ok(self.values(&[name])?.remove(0))
    }

    /// Whether there are tensors under `prefix`.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.under(prefix).next().is_some()
    }

    /// `prefix` if there are tensors under it, else the root: for files that hold one module's weights under a name of
    /// theirs or bare.
    pub fn prefix_or_root<'a>(&self, prefix: &'a str) -> &'a str {
        if self.has_prefix(prefix) { prefix } else { "" }
    }

    /// The texts that go with the tensors (safetensors' `__metadata__`).
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.contents.metadata
    }

    /// Loads the tensors under `prefix` (all where it is empty) into `module`, on its devices:
    /// parameters, running statistics and counters, exactly those that the module has; counters of
    /// batches that the file lacks are zero. Whether a parameter takes part in training stays as it was.
    ///
    /// Clones of the module share its running statistics and so receive those too.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Missing`], [`WeightsError::Unexpected`], [`WeightsError::Shape`], for a tensor that is no
    /// floats [`WeightsError::Type`], and those of [`tensor`](Self::tensor). After an error nothing was changed.
    pub fn load_into<B: Backend, M: Module<B>>(&self, module: M, prefix: &str) -> Result<M, WeightsError> {
        let wanted = named_shapes(&module, prefix);
        let mut present = Vec::with_capacity(wanted.len());
        let mut tensors = BTreeMap::new();
        for (name, shape) in &wanted {
            match self.shape(name) {
                None if is_batch_counter(name) => {
                    let zero = NamedTensor { name: name.clone(), shape: shape.clone(), values: vec![0.0] };
                    tensors.insert(name.clone(), zero);
                }
                None => {
                    let (path, name, expected) = (self.path.clone(), name.clone(), shape.clone());
                    return Err(WeightsError::Missing { path, name, expected });
                }
                Some(found) => {
                    self.check_type(name)?;
                    if found != shape && !(is_batch_counter(name) && found == [1]) {
                        return Err(WeightsError::Shape {
                            path: self.path.clone(),
                            name: name.clone(),
                            expected: shape.clone(),
                            found: found.to_vec(),
                        });
                    }
                    present.push(name.as_str());
                }
            }
        }
        let known: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let names: Vec<String> = self.under(prefix).filter(|name| !known.contains(name)).map(str::to_owned).collect();
        if !names.is_empty() {
            return Err(WeightsError::Unexpected { path: self.path.clone(), names });
        }
        tensors.extend(self.values(&present)?.into_iter().map(|tensor| (tensor.name.clone(), tensor)));
        Ok(load::put(module, prefix, tensors))
    }

    /// The names under `prefix`.
    fn under(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let start = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
        let range = (Bound::Included(start.clone()), Bound::Unbounded);
        let names = self.contents.names.range::<String, _>(range).map(|(name, _)| name.as_str());
        names.take_while(move |name| name.starts_with(&start))
    }

    fn view(&self, name: &str) -> Option<&View> {
        self.contents.names.get(name).map(|view| &self.contents.views[*view])
    }

    /// Whether a tensor is of floats, or a counter of batches of floats or integers.
    pub(super) fn has_right_type(&self, name: &str) -> bool {
        self.view(name).is_some_and(|view| {
            let element = self.contents.storages[view.storage].element;
            if is_batch_counter(name) { element.is_count() } else { element.is_float() }
        })
    }

    fn check_type(&self, name: &str) -> Result<(), WeightsError> {
        match self.has_right_type(name) {
            true => Ok(()),
            false => Err(WeightsError::Type {
                path: self.path.clone(),
                name: name.to_owned(),
                expected: "a float type",
                found: self.element_type(name).unwrap_or_default(),
            }),
        }
    }

    /// Reads tensors in f32. The caller checks that they are there, their types, and the size of their shapes.
    pub(super) fn values(&self, names: &[&str]) -> Result<Vec<NamedTensor>, WeightsError> {
        let views: Vec<&View> = names.iter().map(|name| self.view(name).expect("it is there")).collect();
        let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let values = numbers::read(&mut *file, &self.contents.storages, &views)
            .map_err(|error| self.unreadable(names[error.tensor], error.reason))?;
        let mut tensors = Vec::with_capacity(names.len());
        for ((name, view), values) in names.iter().zip(views).zip(values) {
            let is_variance = last_part(name) == "running_var";
            if values.iter().any(|value| !value.is_finite() || (is_variance && *value < 0.0)) {
                return Err(WeightsError::NotFinite { path: self.path.clone(), name: (*name).to_owned() });
            }
            tensors.push(NamedTensor { name: (*name).to_owned(), shape: view.shape.clone(), values });
        }
        Ok(tensors)
    }

    fn unreadable(&self, name: &str, reason: String) -> WeightsError {
        WeightsError::damaged(&self.path, self.format, format!("tensor `{name}`: {reason}"))
    }
}

/// A file and its first bytes.
fn open(path: &Path) -> Result<(File, Vec<u8>), WeightsError> {
    let told = |source| WeightsError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(told)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut head).map_err(told)?;
    file.seek(SeekFrom::Start(0)).map_err(told)?;
    Ok((file, head))
}

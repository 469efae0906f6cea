//! Python's pickle format as far as `torch.save` uses it. Only the objects of weights files are made; all else becomes
//! [`Object::Other`].

use super::machine::Machine;

/// Where an object is among the objects of its pickle. Objects refer to each other, in circles too.
pub(super) type Id = usize;

/// What a pickle is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    Bool(bool),
    Int(i64),
    /// A number of more than 64 bits, little-endian.
    LongInt(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by module and name.
    Global(String),
    Storage(Storage),
    Tensor(TensorView),
    /// An object of no interest here, such as a float, a class's instance or None.
    Other,
}

/// Where a tensor's numbers are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    /// Name of the type, such as `FloatStorage`.
    pub kind: String,
    /// Its name in the file.
    pub key: String,
    /// Number of elements.
    pub elements: usize,
}

/// A tensor as a view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorView {
    pub storage: Storage,
    /// Element of the storage at which it starts.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements of the storage between neighbours in each dimension.
    pub strides: Vec<usize>,
}

/// Why a pickle could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PickleError {
    #[error("it ends in the middle")]
    Cut,
    #[error("its instruction {code:#04x} at byte {at} is not one of weights files")]
    Instruction { code: u8, at: usize },
    #[error("its structure is inconsistent at byte {at}: expected {expected}")]
    Structure { expected: &'static str, at: usize },
}

/// The objects of one pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    objects: Vec<Object>,
    /// The object that was pickled.
    pub root: Id,
    /// Number of bytes it takes.
    pub length: usize,
}

impl Pickle {
    /// Reads the pickle that `bytes` start with; more may follow it.
    pub fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        let (objects, root, length) = Machine::run(bytes)?;
        Ok(Self { objects, root, length })
    }

    pub fn object(&self, id: Id) -> &Object {
        &self.objects[id]
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The storages that the pickle names.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

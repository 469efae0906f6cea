//! What `torch.save` pickles: dictionaries and sequences of tensors, which are views of storages outside of the pickle.
//!
//! A tensor is a call of `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, …)`, a parameter a call with a
//! tensor, and a storage has the name `("storage", class, key, device, elements)`.

use std::collections::HashMap;

use qare_pickle::{Object, Pickle, PickleError, Value};

use super::storage::{self, StorageName};
use crate::weights::element::Element;
use crate::weights::numbers::View;

/// Values of a pickle, at most: 128 MB. A state_dict of a thousand tensors has about thirty thousand.
const MOST_VALUES: usize = 8_000_000;
/// Memory of views, in words of 8 bytes.
const MOST_WORDS: usize = 8_000_000;
/// What a view takes besides its sizes and strides.
const WORDS_OF_VIEW: usize = 16;
/// PyTorch's tensors have no more.
const MOST_DIMENSIONS: usize = 64;

/// Why a pickle is not one of `torch.save`.
#[derive(Debug, thiserror::Error)]
pub(super) enum SavedError {
    #[error("{0}")]
    Pickle(PickleError),
    #[error("it is inconsistent at offset {offset}: expected {expected}")]
    Inconsistent { expected: &'static str, offset: usize },
    #[error("it holds more objects than weights files have; save the state_dict alone")]
    TooMany,
}

impl From<PickleError> for SavedError {
    fn from(error: PickleError) -> Self {
        match error {
            PickleError::TooLarge { .. } => Self::TooMany,
            error => Self::Pickle(error),
        }
    }
}

/// A pickle, and the storages and tensors in it.
#[derive(Debug)]
pub(super) struct Saved<'a> {
    pub pickle: Pickle<'a>,
    pub storages: Vec<StorageName>,
    /// Their storages are indices of `storages`.
    pub tensors: Vec<View>,
    /// Which of the tensors each object of the pickle is.
    tensor_of_object: Vec<Option<usize>>,
}

/// A value of a pickle, as far as weights are concerned.
pub(super) enum Node<'s> {
    /// Index of a tensor.
    Tensor(usize),
    Dict(Dict<'s>),
    Sequence(&'s [Value]),
    Other,
}

/// A dictionary or an `OrderedDict`.
pub(super) struct Dict<'s> {
    pickle: &'s Pickle<'s>,
    /// What it is made of: pairs of keys and values.
    pairs: &'s [Value],
    /// What is set afterwards.
    entries: &'s [(Value, Value)],
}

impl<'a> Saved<'a> {
    /// Reads the pickle that `bytes` start with; more may follow it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SavedError> {
        let pickle = Pickle::read(bytes, MOST_VALUES)?;
        let (storages, storage_of_persistent) = storage::storages(&pickle)?;
        let mut tensors = Tensors {
            pickle: &pickle,
            storages,
            storage_of_persistent: &storage_of_persistent,
            found: Vec::new(),
            of_object: Vec::with_capacity(pickle.objects().len()),
            left: MOST_WORDS,
        };
        for object in pickle.objects() {
            let tensor = tensors.of_call(object.function, object.arguments, object)?;
            tensors.of_object.push(tensor);
        }
        let Tensors { storages, found: tensors, of_object: tensor_of_object, .. } = tensors;
        Ok(Self { pickle, storages, tensors, tensor_of_object })
    }

    pub fn node(&self, value: Value) -> Node<'_> {
        match value {
            Value::Tuple(_) | Value::List(_) => Node::Sequence(self.pickle.items(value).unwrap_or_default()),
            Value::Dict(_) => {
                let entries = self.pickle.entries(value).unwrap_or_default();
                Node::Dict(Dict { pickle: &self.pickle, pairs: &[], entries })
            }
            Value::Object(index) => match (self.tensor_of_object[index.get()], self.pickle.object(value)) {
                (Some(tensor), _) => Node::Tensor(tensor),
                (None, Some(object)) if function(&self.pickle, object.function) == Function::Dict => {
                    let arguments = self.pickle.items(object.arguments).unwrap_or_default();
                    let pairs = match arguments.first() {
                        Some(pairs @ Value::List(_)) => self.pickle.items(*pairs).unwrap_or_default(),
                        _ => &[],
                    };
                    Node::Dict(Dict { pickle: &self.pickle, pairs, entries: &object.entries })
                }
                _ => Node::Other,
            },
            _ => Node::Other,
        }
    }

    /// The value of a text in a dictionary. The last one holds, as in Python.
    pub fn entry(&self, dict: Value, key: &str) -> Option<Value> {
        match self.node(dict) {
            Node::Dict(dict) => dict.iter().filter(|(found, _)| self.is(*found, key)).last().map(|(_, value)| value),
            _ => None,
        }
    }

    /// The first keys of the root that have dictionaries, for a message.
    pub fn dictionaries(&self) -> String {
        const SHOWN: usize = 8;
        const LONGEST: usize = 100;
        let Node::Dict(dict) = self.node(self.pickle.root()) else { return "; it is no dictionary".to_owned() };
        let name = |(key, value)| match (key, self.node(value)) {
            (Value::Text(span), Node::Dict(_)) if span.len() <= LONGEST => {
                self.pickle.text(key).map(|name| format!("`{name}`"))
            }
            _ => None,
        };
        let names: Vec<String> = dict.iter().filter_map(name).take(SHOWN).collect();
        match names.is_empty() {
            true => ", nor another at its top".to_owned(),
            false => format!("; it has {}", names.join(", ")),
        }
    }

    /// Whether a value is this text. A long one takes no time.
    pub fn is(&self, value: Value, text: &str) -> bool {
        self.pickle.bytes(value) == Some(text.as_bytes())
    }
}

impl Dict<'_> {
    /// The number of keys, those twice that are set twice.
    pub fn len(&self) -> usize {
        self.pairs.len() + self.entries.len()
    }

    /// Whether it is made of pairs, as Python wants it.
    pub fn is_of_pairs(&self) -> bool {
        self.pairs.iter().all(|pair| self.pair(*pair).is_some())
    }

    /// Keys and values, without what is no pair.
    pub fn iter(&self) -> impl Iterator<Item = (Value, Value)> {
        self.pairs.iter().filter_map(|pair| self.pair(*pair)).chain(self.entries.iter().copied())
    }

    fn pair(&self, value: Value) -> Option<(Value, Value)> {
        match self.pickle.items(value) {
            Some(&[key, value]) => Some((key, value)),
            _ => None,
        }
    }
}

/// The functions and classes that weights are pickled with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Dict,
    Tensor,
    /// A tensor that is no numbers in a row.
    NoView(Element),
    Parameter,
    FromType,
    Other,
}

fn function(pickle: &Pickle, value: Value) -> Function {
    let Some((module, name)) = pickle.global(value) else { return Function::Other };
    match (module, name) {
        (b"collections", b"OrderedDict" | b"defaultdict") | (b"builtins" | b"__builtin__", b"dict") => Function::Dict,
        (b"torch._utils", b"_rebuild_tensor" | b"_rebuild_tensor_v2") => Function::Tensor,
        (b"torch._utils", b"_rebuild_sparse_tensor") => Function::NoView(Element::Sparse),
        (b"torch._utils", b"_rebuild_qtensor") => Function::NoView(Element::Quantized),
        // Of types that have no class of storages, such as float8 and uint16.
        (b"torch._utils", b"_rebuild_tensor_v3") => Function::NoView(Element::Unknown),
        (b"torch._utils", b"_rebuild_meta_tensor_no_storage") => Function::NoView(Element::Absent),
        (b"torch._utils", b"_rebuild_parameter" | b"_rebuild_parameter_with_state") => Function::Parameter,
        (b"torch._tensor", b"_rebuild_from_type_v2") => Function::FromType,
        _ => Function::Other,
    }
}

/// The tensors that the calls of a pickle make.
struct Tensors<'p> {
    pickle: &'p Pickle<'p>,
    storages: Vec<StorageName>,
    storage_of_persistent: &'p [Option<usize>],
    found: Vec<View>,
    /// Which of them each object is, as far as the objects are looked at.
    of_object: Vec<Option<usize>>,
    /// Words that views may still take.
    left: usize,
}

impl Tensors<'_> {
    /// The tensor that a call of `object` makes, if it makes one.
    fn of_call(&mut self, called: Value, arguments: Value, object: &Object) -> Result<Option<usize>, SavedError> {
        let inconsistent = |expected| SavedError::Inconsistent { expected, offset: object.offset };
        let called = function(self.pickle, called);
        if matches!(called, Function::Other | Function::Dict) {
            return Ok(None);
        }
        let pickle = self.pickle;
        let arguments = match arguments {
            Value::Tuple(_) => pickle.items(arguments).unwrap_or_default(),
            _ => return Err(inconsistent("a tuple of arguments")),
        };
        match called {
            Function::Tensor => {
                let view = self.view(arguments).map_err(inconsistent)?;
                self.add(view)
            }
            Function::NoView(element) => {
                let shape = self.shape_in(element, arguments).ok_or_else(|| inconsistent("a tensor's shape"))?;
                let storage = self.storages.len();
                self.storages.push(StorageName { key: Value::None, element, elements: 0 });
                self.add(View { storage, offset: 0, shape, strides: None })
            }
            Function::Parameter => match *arguments.first().ok_or_else(|| inconsistent("a parameter's tensor"))? {
                // Made before the call that takes it.
                Value::Object(index) => Ok(self.of_object.get(index.get()).copied().flatten()),
                _ => Ok(None),
            },
            // Calls its first argument with its third. None of these calls another: calls do not nest without end.
            Function::FromType => match *arguments {
                [inner, _, arguments, ..]
                    if matches!(function(pickle, inner), Function::Tensor | Function::Parameter) =>
                {
                    self.of_call(inner, arguments, object)
                }
                _ => Ok(None),
            },
            Function::Dict | Function::Other => Ok(None),
        }
    }

    fn add(&mut self, view: View) -> Result<Option<usize>, SavedError> {
        let words = view.shape.len() + view.strides.as_ref().map_or(0, Vec::len) + WORDS_OF_VIEW;
        self.left = self.left.checked_sub(words).ok_or(SavedError::TooMany)?;
        self.found.push(view);
        Ok(Some(self.found.len() - 1))
    }

    /// The shape among the arguments of a tensor that is no view: (storage, offset, shape, …) of a quantized one, (type,
    /// shape, …) of one on the device `meta`, (layout, (indices, …, values, shape, …)) of a sparse one.
    fn shape_in(&self, element: Element, arguments: &[Value]) -> Option<Vec<usize>> {
        const LATEST: usize = 4;
        let arguments = match element {
            Element::Sparse => self.pickle.items(*arguments.get(1)?)?,
            _ => arguments,
        };
        let shape = |value: &Value| match self.pickle.object(*value) {
            // `torch.Size`, which is pickled as a call with a tuple.
            Some(size) => self.sizes(*self.pickle.items(size.arguments)?.first()?).ok(),
            None => self.sizes(*value).ok(),
        };
        arguments.iter().take(LATEST).find_map(shape)
    }

    /// The view of the arguments (storage, offset, shape, strides, …).
    fn view(&self, arguments: &[Value]) -> Result<View, &'static str> {
        let [storage, offset, shape, strides, ..] = *arguments else {
            return Err("a tensor's storage, offset, shape and strides");
        };
        let storage = match storage {
            Value::Persistent(index) => self.storage_of_persistent[index.get()],
            _ => None,
        };
        let storage = storage.ok_or("a tensor's storage")?;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        match shape.len() == strides.len() {
            true => Ok(View { storage, offset: size(offset)?, shape, strides: Some(strides) }),
            false => Err("a stride for each dimension"),
        }
    }

    fn sizes(&self, value: Value) -> Result<Vec<usize>, &'static str> {
        match (value, self.pickle.items(value)) {
            (Value::Tuple(_), Some(items)) if items.len() <= MOST_DIMENSIONS => {
                items.iter().map(|item| size(*item)).collect()
            }
            _ => Err("a tuple of at most 64 sizes"),
        }
    }
}

/// A size of a tensor or a number of elements.
pub(super) fn size(value: Value) -> Result<usize, &'static str> {
    match value {
        Value::Int(value) => usize::try_from(value).map_err(|_| "a size"),
        _ => Err("a size"),
    }
}

/// Storages of a pickle by their keys.
pub(super) fn by_key<'s>(saved: &'s Saved) -> HashMap<&'s str, usize> {
    let key = |(index, name): (usize, &StorageName)| Some((saved.pickle.text(name.key)?, index));
    saved.storages.iter().enumerate().filter_map(key).collect()
}

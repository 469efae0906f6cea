//! Python's pickle format as far as `torch.save` uses it. Only the objects of weights files are made; all else becomes
//! [`Value::Other`].

use super::machine::Machine;
use crate::weights::element::Element;
use crate::weights::numbers::View;

/// What a pickle is made of. It is small and has no owner: objects refer to each other by number, in circles too, so that
/// neither copies nor drops follow what they hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Text(Span),
    Global(Global),
    /// Index of a container.
    Container(u32),
    /// Index of a storage.
    Storage(u32),
    /// Index of a tensor.
    Tensor(u32),
    /// An object of no interest here, such as a float, a class's instance or None.
    Other,
}

/// Where a text is among the bytes of the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn len(self) -> usize {
        self.range().len()
    }
}

/// Classes and functions that weights are pickled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    Dict,
    RebuildTensor,
    RebuildParameter,
    RebuildFromType,
    Storage(Element),
    Unknown,
}

#[derive(Debug)]
pub(super) enum Container {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
}

/// The name of a storage, whose numbers are outside of the pickle.
#[derive(Debug)]
pub(super) struct StorageName {
    pub key: Span,
    pub element: Element,
    /// Number of elements.
    pub elements: usize,
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
    #[error("it holds more objects than weights files have; save the state_dict alone")]
    TooMany,
}

/// The objects of one pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) containers: Vec<Container>,
    pub storages: Vec<StorageName>,
    /// Their storages are indices of `storages`.
    pub tensors: Vec<View>,
    /// The object that was pickled.
    pub root: Value,
    /// Number of bytes it takes.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` start with; more may follow it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PickleError> {
        Machine::new(bytes).run()
    }

    pub fn container(&self, value: Value) -> Option<&Container> {
        match value {
            Value::Container(index) => Some(&self.containers[index as usize]),
            _ => None,
        }
    }

    pub fn text(&self, value: Value) -> Option<&'a str> {
        match value {
            Value::Text(span) => Some(self.span(span)),
            _ => None,
        }
    }

    pub fn span(&self, span: Span) -> &'a str {
        std::str::from_utf8(&self.bytes[span.range()]).expect("texts are checked when read")
    }

    /// Whether a value is this text. Unlike with [`text`](Self::text), a long one costs nothing.
    pub fn is(&self, value: Value, text: &str) -> bool {
        matches!(value, Value::Text(span) if self.bytes[span.range()] == *text.as_bytes())
    }

    /// The value of a text in a dictionary.
    pub fn entry(&self, dict: Value, name: &str) -> Option<Value> {
        match self.container(dict)? {
            // The last one holds, as in Python.
            Container::Dict(items) => items.iter().rev().find(|(key, _)| self.is(*key, name)).map(|(_, value)| *value),
            _ => None,
        }
    }
}

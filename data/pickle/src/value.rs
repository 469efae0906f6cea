//! What a pickle is made of.

use std::ops::Range;

/// A value of a [`Pickle`](crate::Pickle). Containers, text and objects are in the pickle; its methods give them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that does not fit into 64 bits.
    LargeInt,
    /// A floating-point number.
    Float(f64),
    /// A `str`. Python 2 writes its `str` of bytes as text too, so text is not always UTF-8.
    Text(Span),
    /// `bytes` or a `bytearray`.
    Bytes(Span),
    /// A tuple.
    Tuple(Index),
    /// A list.
    List(Index),
    /// A set or frozenset.
    Set(Index),
    /// A dictionary.
    Dict(Index),
    /// A class or function, by its name.
    Global(Index),
    /// The result of a call, such as an instance of a class.
    Object(Index),
    /// An object outside of the pickle, such as a storage of `torch.save`.
    Persistent(Index),
}

/// Where in a [`Pickle`](crate::Pickle) text or bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Both ends are at most `u32::MAX`.
    pub(crate) fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Which of the containers, names or objects of a [`Pickle`](crate::Pickle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index(pub(crate) u32);

impl Index {
    /// The position in the order of creation: for a [`Value::Object`] in [`Pickle::objects`](crate::Pickle::objects), for a
    /// [`Value::Persistent`] in [`Pickle::persistent`](crate::Pickle::persistent).
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// A call that would make an object, and what the object would be given afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The function or class that would be called.
    pub function: Value,
    /// Its arguments, normally a tuple.
    pub arguments: Value,
    /// The argument of `__setstate__`, or the attributes.
    pub state: Option<Value>,
    /// What would be appended to the object, if it is like a list, or added, if it is like a set.
    pub items: Vec<Value>,
    /// Keys and values that would be set, if it is like a dictionary.
    pub entries: Vec<(Value, Value)>,
    /// The offset of the instruction that makes the call.
    pub offset: usize,
}

/// An object outside of the pickle.
#[derive(Clone, Debug, PartialEq)]
pub struct Persistent {
    /// What the writing program calls it.
    pub id: Value,
    /// The offset of the instruction that names it.
    pub offset: usize,
}

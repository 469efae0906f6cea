//! The values of one pickle.

use std::borrow::Cow;

use crate::error::PickleError;
use crate::machine::Machine;
use crate::value::{Index, Object, Persistent, Span, Value};

/// The values of one pickle, and the bytes that their text is in.
///
/// Values belong to the pickle they come from. With those of another the methods give a wrong value, [`None`], or panic.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(crate) bytes: &'a [u8],
    /// Text that is not in the bytes as it is. A span past the bytes is in here.
    pub(crate) decoded: Vec<u8>,
    pub(crate) sequences: Vec<Vec<Value>>,
    pub(crate) dicts: Vec<Vec<(Value, Value)>>,
    pub(crate) globals: Vec<(Span, Span)>,
    pub(crate) objects: Vec<Object>,
    pub(crate) persistent: Vec<Persistent>,
    pub(crate) root: Value,
    pub(crate) length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with; more may follow it.
    ///
    /// `limit` bounds the memory, in values of 16 bytes (up to 64 where vectors grow). A value counts as one, a container
    /// as two more, an object as seven more, and what the pickle memoizes for later use as three.
    ///
    /// # Errors
    ///
    /// Any [`PickleError`]. Of `bytes` longer than 1 GiB the rest is ignored.
    pub fn read(bytes: &'a [u8], limit: usize) -> Result<Self, PickleError> {
        Machine::new(bytes, limit).run()
    }

    /// The value that was pickled.
    pub fn root(&self) -> Value {
        self.root
    }

    /// The length of the pickle in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes of [`Value::Text`] or [`Value::Bytes`].
    pub fn bytes(&self, value: Value) -> Option<&[u8]> {
        let (Value::Text(span) | Value::Bytes(span)) = value else { return None };
        let range = span.range();
        Some(match range.start.checked_sub(self.bytes.len()) {
            Some(start) => &self.decoded[start..start + range.len()],
            None => &self.bytes[range],
        })
    }

    /// The text of [`Value::Text`], if it is UTF-8. Takes time linear in its length.
    pub fn text(&self, value: Value) -> Option<&str> {
        match value {
            Value::Text(_) => std::str::from_utf8(self.bytes(value)?).ok(),
            _ => None,
        }
    }

    /// The bytes of a value that Python reads as `bytes`, as a `bytearray`, or as Python 2's `str`; [`None`] for other values.
    ///
    /// Python 3 has no instruction for `bytes` before protocol 3, and none for a `bytearray` before protocol 5. It writes calls
    /// instead, `_codecs.encode(text, 'latin1')` and `bytearray(bytes)`, which are carried out here if the result has at most
    /// `most` bytes.
    pub fn raw(&self, value: Value, most: usize) -> Option<Cow<'_, [u8]>> {
        let inner = match self.call(value) {
            Some((b"bytearray", &[inner])) => inner,
            _ => value,
        };
        if let Some(text) = self.encoded(inner) {
            // Each byte is one or two bytes of text.
            let text = if self.bytes(text)?.len() / 2 <= most { self.text(text)? } else { return None };
            let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
            return bytes.filter(|bytes| bytes.len() <= most).map(Cow::Owned);
        }
        match self.call(inner) {
            Some((b"bytes" | b"bytearray", [])) => Some(Cow::Borrowed(&[])),
            _ => self.bytes(inner).map(Cow::Borrowed),
        }
    }

    /// The text of a call that encodes it in Latin-1.
    fn encoded(&self, value: Value) -> Option<Value> {
        let (b"encode" | b"bytearray", &[text @ Value::Text(_), encoding]) = self.call(value)? else { return None };
        matches!(self.bytes(encoding), Some(b"latin1" | b"latin-1")).then_some(text)
    }

    /// The name of a function of Python itself and its arguments, if the value is a call of one.
    fn call(&self, value: Value) -> Option<(&[u8], &[Value])> {
        let object = self.object(value)?;
        let (module, name) = self.global(object.function)?;
        let known =
            matches!((module, name), (b"_codecs", b"encode") | (b"builtins" | b"__builtin__", b"bytes" | b"bytearray"));
        known.then_some((name, self.items(object.arguments)?))
    }

    /// The items of a tuple, a list or a set.
    pub fn items(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Tuple(index) | Value::List(index) | Value::Set(index) => Some(&self.sequences[index.get()]),
            _ => None,
        }
    }

    /// Keys and values of a dictionary, in the order in which they are set. Of two equal keys the last one holds.
    pub fn entries(&self, value: Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Dict(index) => Some(&self.dicts[index.get()]),
            _ => None,
        }
    }

    /// The value of a key in a dictionary; the key may be a `str` or `bytes`. Takes time linear in the length of the dictionary.
    pub fn entry(&self, dict: Value, key: &str) -> Option<Value> {
        let entries = self.entries(dict)?;
        let is_key = |found: Value| self.bytes(self.encoded(found).unwrap_or(found)) == Some(key.as_bytes());
        entries.iter().rev().find(|(found, _)| is_key(*found)).map(|(_, value)| *value)
    }

    /// Module and name of a class or function.
    pub fn global(&self, value: Value) -> Option<(&[u8], &[u8])> {
        let Value::Global(index) = value else { return None };
        let (module, name) = self.globals[index.get()];
        Some((self.bytes(Value::Text(module))?, self.bytes(Value::Text(name))?))
    }

    /// The call that would make an object.
    pub fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => Some(&self.objects[index.get()]),
            _ => None,
        }
    }

    /// All objects, in the order in which they are made.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The objects outside of the pickle, in the order in which they are named.
    pub fn persistent(&self) -> &[Persistent] {
        &self.persistent
    }

    pub(crate) fn index(length: usize) -> Index {
        Index(u32::try_from(length).expect("there are fewer values than bytes, and fewer bytes than 2^30"))
    }
}

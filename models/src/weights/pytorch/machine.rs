//! A pickle is a program for a stack machine. This one runs it without ever calling what it names.

use std::collections::HashMap;

use super::pickle::{Container, Pickle, PickleError, Span, StorageName, Value};
use crate::weights::numbers::View;

/// What a pickle may put on the stack, in containers and in the memo, in places of a value: 128 MB. A state_dict of a
/// thousand tensors takes about thirty thousand.
const PLACES: usize = 8_000_000;
/// What a container costs besides its items, in such places.
const CONTAINER: usize = 4;
const MEMO: usize = 3;

pub(super) struct Machine<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) containers: Vec<Container>,
    pub(super) storages: Vec<StorageName>,
    /// Indices of the storages by the keys of theirs.
    pub(super) keys: HashMap<&'a str, u32>,
    pub(super) tensors: Vec<View>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    /// How many places are left.
    left: usize,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            containers: Vec::new(),
            storages: Vec::new(),
            keys: HashMap::new(),
            tensors: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            left: PLACES,
        }
    }

    /// Runs the program up to its end.
    pub fn run(mut self) -> Result<Pickle<'a>, PickleError> {
        // Texts are remembered by numbers of 32 bits.
        self.bytes = &self.bytes[..self.bytes.len().min(u32::MAX as usize)];
        let root = self.run_to_end()?;
        let Self { bytes, at, containers, storages, tensors, .. } = self;
        Ok(Pickle { bytes, containers, storages, tensors, root, length: at })
    }

    /// Runs up to the end of the program, which leaves the pickled object on the stack.
    fn run_to_end(&mut self) -> Result<Value, PickleError> {
        loop {
            let at = self.at;
            let code = self.number(1)? as u8;
            match code {
                b'.' => return self.pop(),
                // The protocol, and the length of a frame: no need of either.
                0x80 => _ = self.take(1)?,
                0x95 => _ = self.take(8)?,

                b'N' => self.push(Value::Other)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' => self.push_int(1)?,
                b'M' => self.push_int(2)?,
                b'J' => {
                    let value = self.number(4)? as u32 as i32;
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => self.push_long(1)?,
                0x8b => self.push_long(4)?,
                b'I' | b'L' => self.push_decimal()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other)?;
                }
                b'F' => {
                    self.line()?;
                    self.push(Value::Other)?;
                }

                b'X' | b'T' => self.push_text(4)?,
                0x8c | b'U' => self.push_text(1)?,
                0x8d => self.push_text(8)?,
                b'V' => {
                    let span = self.line()?;
                    self.push(Value::Text(span))?;
                }
                // Bytes and byte arrays.
                b'C' => self.skip_bytes(1)?,
                b'B' => self.skip_bytes(4)?,
                0x8e | 0x96 => self.skip_bytes(8)?,

                b')' => self.push_container(Container::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let from =
                        self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or(self.expected("a tuple"))?;
                    let items = self.stack.split_off(from);
                    self.push_container(Container::Tuple(items))?;
                }
                b't' => {
                    let items = self.pop_marked()?;
                    self.push_container(Container::Tuple(items))?;
                }
                b']' => self.push_container(Container::List(Vec::new()))?,
                b'l' => {
                    let items = self.pop_marked()?;
                    self.push_container(Container::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_marked()?;
                    self.append(items)?;
                }
                b'}' => self.push_container(Container::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_marked()?;
                    self.push_container(Container::Dict(Vec::new()))?;
                    self.set(&items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_marked()?;
                    self.set(&items)?;
                }
                // Sets, of which nothing is needed.
                0x8f => self.push(Value::Other)?,
                0x90 => _ = self.pop_marked()?,
                0x91 => {
                    self.pop_marked()?;
                    self.push(Value::Other)?;
                }

                b'(' => {
                    self.charge(1)?;
                    self.marks.push(self.stack.len());
                }
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_marked()?,
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }

                b'q' => self.remember(1)?,
                b'r' => self.remember(4)?,
                0x94 => self.memorize(self.memo.len() as u64)?,
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,

                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let global = self.global(module, name);
                    self.push(global)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(name), Value::Text(module)) = (name, module) else {
                        return Err(self.expected("the name of a class"));
                    };
                    let global = self.global(module, name);
                    self.push(global)?;
                }
                b'R' => {
                    let arguments = self.pop()?;
                    let function = self.pop()?;
                    let result = self.call(function, arguments)?;
                    self.push(result)?;
                }
                // A new instance of a class; with keywords.
                0x81 | 0x92 => {
                    for _ in 0..if code == 0x81 { 2 } else { 3 } {
                        self.pop()?;
                    }
                    self.push(Value::Other)?;
                }
                // Sets an instance's members; what an OrderedDict of weights has of them is of no interest.
                b'b' => _ = self.pop()?,
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(storage)?;
                }
                _ => return Err(PickleError::Instruction { code, at }),
            }
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), PickleError> {
        match self.top_container()? {
            Some(Container::List(list)) => list.extend(items),
            None => {}
            _ => return Err(self.expected("a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Value]) -> Result<(), PickleError> {
        match self.top_container()? {
            Some(Container::Dict(dict)) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            None => {}
            _ => return Err(self.expected("a dictionary")),
        }
        Ok(())
    }

    /// The container on top of the stack; none where an object of no interest is, whose items are of none.
    fn top_container(&mut self) -> Result<Option<&mut Container>, PickleError> {
        match self.top()? {
            Value::Container(index) => Ok(Some(&mut self.containers[index as usize])),
            Value::Other => Ok(None),
            _ => Err(self.expected("a list or a dictionary")),
        }
    }

    pub(super) fn expected(&self, expected: &'static str) -> PickleError {
        PickleError::Structure { expected, at: self.at }
    }

    pub(super) fn charge(&mut self, places: usize) -> Result<(), PickleError> {
        self.left = self.left.checked_sub(places).ok_or(PickleError::TooMany)?;
        Ok(())
    }

    pub(super) fn add(&mut self, container: Container) -> Result<Value, PickleError> {
        self.charge(CONTAINER)?;
        self.containers.push(container);
        Ok(Value::Container(self.containers.len() as u32 - 1))
    }

    fn push_container(&mut self, container: Container) -> Result<(), PickleError> {
        let value = self.add(container)?;
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        self.charge(1)?;
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        self.stack.pop().ok_or(self.expected("an object"))
    }

    fn top(&self) -> Result<Value, PickleError> {
        self.stack.last().copied().ok_or(self.expected("an object"))
    }

    fn pop_marked(&mut self) -> Result<Vec<Value>, PickleError> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.expected("a mark")),
        }
    }

    fn remember(&mut self, width: usize) -> Result<(), PickleError> {
        let place = self.number(width)?;
        self.memorize(place)
    }

    fn memorize(&mut self, place: u64) -> Result<(), PickleError> {
        self.charge(MEMO)?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), PickleError> {
        let place = self.number(width)?;
        let value = *self.memo.get(&place).ok_or(self.expected("an object seen before"))?;
        self.push(value)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(count).ok_or(PickleError::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(PickleError::Cut)?;
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of up to 8 bytes.
    fn number(&mut self, width: usize) -> Result<u64, PickleError> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes after their length, which is a number of `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleError> {
        let count = usize::try_from(self.number(width)?).map_err(|_| PickleError::Cut)?;
        self.take(count)
    }

    fn line(&mut self) -> Result<Span, PickleError> {
        let start = self.at;
        let length = self.bytes[start..].iter().position(|byte| *byte == b'\n').ok_or(PickleError::Cut)?;
        let line = &self.take(length + 1)?[..length];
        std::str::from_utf8(line).map_err(|_| self.expected("a line of text"))?;
        Ok(Span { start: start as u32, end: (start + length) as u32 })
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        std::str::from_utf8(&self.bytes[span.range()]).expect("texts are checked when read")
    }

    fn push_int(&mut self, width: usize) -> Result<(), PickleError> {
        let value = self.number(width)? as i64;
        self.push(Value::Int(value))
    }

    /// A number of any length. One of more than 64 bits is of no interest.
    fn push_long(&mut self, width: usize) -> Result<(), PickleError> {
        let bytes = self.counted(width)?;
        if bytes.len() > 8 {
            return self.push(Value::Other);
        }
        let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    /// A number in decimal, `00` and `01` being false and true.
    fn push_decimal(&mut self) -> Result<(), PickleError> {
        let span = self.line()?;
        let value = match self.text(span) {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            line => line.trim_end_matches('L').parse().map_or(Value::Other, Value::Int),
        };
        self.push(value)
    }

    /// Text after its length. What is not UTF-8 (bytes of Python 2) is no name of a tensor.
    fn push_text(&mut self, width: usize) -> Result<(), PickleError> {
        let bytes = self.counted(width)?;
        let span = Span { start: (self.at - bytes.len()) as u32, end: self.at as u32 };
        self.push(std::str::from_utf8(bytes).map_or(Value::Other, |_| Value::Text(span)))
    }

    fn skip_bytes(&mut self, width: usize) -> Result<(), PickleError> {
        self.counted(width)?;
        self.push(Value::Other)
    }
}

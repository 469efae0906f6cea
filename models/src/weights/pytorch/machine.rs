//! A pickle is a program for a stack machine. This one runs it without ever calling what it names.

use std::collections::HashMap;

use super::pickle::{Id, Object, PickleError};

#[derive(Default)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Runs the program that `bytes` start with. Returns all objects, the one pickled, and the program's length.
    pub fn run(bytes: &'a [u8]) -> Result<(Vec<Object>, Id, usize), PickleError> {
        let mut machine = Self { bytes, ..Self::default() };
        let root = machine.run_to_end()?;
        Ok((machine.objects, root, machine.at))
    }

    /// Runs up to the end of the program, which leaves the pickled object on the stack.
    fn run_to_end(&mut self) -> Result<Id, PickleError> {
        loop {
            let at = self.at;
            let code = self.number(1)? as u8;
            match code {
                b'.' => return self.pop(),
                // The protocol, and the length of a frame: no need of either.
                0x80 => _ = self.take(1)?,
                0x95 => _ = self.take(8)?,

                b'N' => self.push(Object::Other),
                0x88 => self.push(Object::Bool(true)),
                0x89 => self.push(Object::Bool(false)),
                b'K' => self.push_int(1)?,
                b'M' => self.push_int(2)?,
                b'J' => {
                    let value = self.number(4)? as u32 as i32;
                    self.push(Object::Int(value.into()));
                }
                0x8a => self.push_long(1)?,
                0x8b => self.push_long(4)?,
                b'I' | b'L' => self.push_decimal()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Object::Other);
                }
                b'F' => {
                    self.line()?;
                    self.push(Object::Other);
                }

                b'X' => self.push_text(4)?,
                0x8c | b'U' => self.push_text(1)?,
                0x8d => self.push_text(8)?,
                b'T' => self.push_text(4)?,
                b'V' => {
                    let text = self.line()?.to_owned();
                    self.push(Object::Text(text));
                }
                // Bytes and byte arrays.
                b'C' => self.skip_bytes(1)?,
                b'B' => self.skip_bytes(4)?,
                0x8e | 0x96 => self.skip_bytes(8)?,

                b')' => self.push(Object::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let from =
                        self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or(self.expected("a tuple"))?;
                    let items = self.stack.split_off(from);
                    self.push(Object::Tuple(items));
                }
                b't' => {
                    let items = self.pop_marked()?;
                    self.push(Object::Tuple(items));
                }
                b']' => self.push(Object::List(Vec::new())),
                b'l' => {
                    let items = self.pop_marked()?;
                    self.push(Object::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_marked()?;
                    self.append(items)?;
                }
                b'}' => self.push(Object::Dict(Vec::new())),
                b'd' => {
                    let items = self.pop_marked()?;
                    self.push(Object::Dict(Vec::new()));
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
                0x8f => self.push(Object::Other),
                0x90 => _ = self.pop_marked()?,
                0x91 => {
                    self.pop_marked()?;
                    self.push(Object::Other);
                }

                b'(' => self.marks.push(self.stack.len()),
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_marked()?,
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }

                b'q' => self.remember(1)?,
                b'r' => self.remember(4)?,
                0x94 => {
                    let top = self.top()?;
                    self.memo.insert(self.memo.len() as u64, top);
                }
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,

                b'c' => {
                    let name = format!("{}.{}", self.line()?, self.line()?);
                    self.push(Object::Global(name));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Object::Text(name), Object::Text(module)) = (&self.objects[name], &self.objects[module])
                    else {
                        return Err(self.expected("the name of a class"));
                    };
                    let name = format!("{module}.{name}");
                    self.push(Object::Global(name));
                }
                b'R' => {
                    let arguments = self.pop()?;
                    let function = self.pop()?;
                    let result = self.call(function, arguments)?;
                    self.stack.push(result);
                }
                // A new instance of a class; with keywords.
                0x81 | 0x92 => {
                    for _ in 0..if code == 0x81 { 2 } else { 3 } {
                        self.pop()?;
                    }
                    self.push(Object::Other);
                }
                // Sets an instance's members; what an OrderedDict of weights has of them is of no interest.
                b'b' => _ = self.pop()?,
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(storage);
                }
                _ => return Err(PickleError::Instruction { code, at }),
            }
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), PickleError> {
        let list = self.top()?;
        match &mut self.objects[list] {
            Object::List(list) => list.extend(items),
            Object::Other => {}
            _ => return Err(self.expected("a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let dict = self.top()?;
        match &mut self.objects[dict] {
            Object::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Object::Other => {}
            _ => return Err(self.expected("a dictionary")),
        }
        Ok(())
    }

    pub(super) fn expected(&self, expected: &'static str) -> PickleError {
        PickleError::Structure { expected, at: self.at }
    }

    pub(super) fn add(&mut self, object: Object) -> Id {
        self.objects.push(object);
        self.objects.len() - 1
    }

    fn push(&mut self, object: Object) {
        let id = self.add(object);
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        self.stack.pop().ok_or(self.expected("an object"))
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack.last().copied().ok_or(self.expected("an object"))
    }

    fn pop_marked(&mut self) -> Result<Vec<Id>, PickleError> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.expected("a mark")),
        }
    }

    fn remember(&mut self, width: usize) -> Result<(), PickleError> {
        let place = self.number(width)?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), PickleError> {
        let place = self.number(width)?;
        let id = *self.memo.get(&place).ok_or(self.expected("an object seen before"))?;
        self.stack.push(id);
        Ok(())
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

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or(PickleError::Cut)?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| self.expected("a line of text"))
    }

    fn push_int(&mut self, width: usize) -> Result<(), PickleError> {
        let value = self.number(width)? as i64;
        self.push(Object::Int(value));
        Ok(())
    }

    fn push_long(&mut self, width: usize) -> Result<(), PickleError> {
        let bytes = self.counted(width)?;
        if bytes.len() > 8 {
            self.push(Object::LongInt(bytes.to_vec()));
            return Ok(());
        }
        let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Object::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    /// A number in decimal, `00` and `01` being false and true.
    fn push_decimal(&mut self) -> Result<(), PickleError> {
        let object = match self.line()? {
            "00" => Object::Bool(false),
            "01" => Object::Bool(true),
            line => line.trim_end_matches('L').parse().map_or(Object::Other, Object::Int),
        };
        self.push(object);
        Ok(())
    }

    /// Text after its length. What is not UTF-8 (bytes of Python 2) is no name of a tensor.
    fn push_text(&mut self, width: usize) -> Result<(), PickleError> {
        let bytes = self.counted(width)?;
        self.push(std::str::from_utf8(bytes).map_or(Object::Other, |text| Object::Text(text.to_owned())));
        Ok(())
    }

    fn skip_bytes(&mut self, width: usize) -> Result<(), PickleError> {
        self.counted(width)?;
        self.push(Object::Other);
        Ok(())
    }
}

//! Python's pickles, as far as data goes: numbers, strings, lists, tuples, dictionaries, and the states of objects.
//!
//! A pickle is a program for a machine with a stack, and a small one can ask for much: a billion lists in each other, or
//! lists that hold a list twice that holds a list twice. Here a value is a place in a table, what holds it names the place,
//! and strings stay in the file. So nothing recurses, nothing is copied, and an instruction of one byte makes one value of
//! a few bytes; there may be only so many.

use std::collections::HashMap;
use std::ops::Range;

/// A value; the others that it holds are places in the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(i64),
    Bool(bool),
    /// Bytes or text: where in the file it stands.
    Text(Range<usize>),
    List(Vec<usize>),
    Tuple(Vec<usize>),
    /// Keys and values in turn.
    Dict(Vec<usize>),
    /// An object, by what it is rebuilt from, if it is.
    Object(Option<usize>),
    /// Nothing, a number with a fraction, a class.
    Other,
}

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    bytes: &'a [u8],
    table: Vec<Value>,
    /// The value that the pickle is of.
    top: usize,
}

impl<'a> Values<'a> {
    /// Reads a pickle of at most so many values, or says what is wrong and where.
    pub fn read(bytes: &'a [u8], most: usize) -> Result<Self, String> {
        let mut machine = Machine { bytes, place: 0, most, ..Machine::default() };
        loop {
            let start = machine.place;
            let done = machine.step().map_err(|problem| format!("{problem} at offset {start}"))?;
            if let Some(top) = done {
                return Ok(Self { bytes, table: machine.table, top });
            }
        }
    }

    pub fn top(&self) -> &Value {
        &self.table[self.top]
    }

    pub fn get(&self, place: usize) -> &Value {
        &self.table[place]
    }

    /// The bytes of a text.
    pub fn text(&self, range: &Range<usize>) -> &'a [u8] {
        &self.bytes[range.clone()]
    }

    /// The value of a key in a dictionary.
    pub fn entry(&self, dict: &[usize], key: &str) -> Option<&Value> {
        let is_key = |value: &Value| matches!(value, Value::Text(range) if self.text(range) == key.as_bytes());
        dict.as_chunks().0.iter().rev().find(|[found, _]| is_key(self.get(*found))).map(|[_, value]| self.get(*value))
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    place: usize,
    most: usize,
    table: Vec<Value>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<usize, usize>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.place.checked_add(length).filter(|end| *end <= self.bytes.len());
        let taken = &self.bytes[self.place..end.ok_or("unexpected EOF")?];
        self.place += length;
        Ok(taken)
    }

    /// A number of so many bytes, the lowest first.
    fn number(&mut self, length: usize) -> Step<usize> {
        let number = self.take(length)?.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        usize::try_from(number).map_err(|_| format!("a length of {number}"))
    }

    fn line(&mut self) -> Step<Range<usize>> {
        let rest = &self.bytes[self.place..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("unexpected EOF")?;
        let line = self.place..self.place + length;
        self.place += length + 1;
        Ok(line)
    }

    fn line_number(&mut self) -> Step<i64> {
        let line = self.line()?;
        let text = std::str::from_utf8(&self.bytes[line]).unwrap_or_default();
        text.trim_end_matches('L').parse().map_err(|_| format!("`{}` is no number", text.escape_default()))
    }

    fn push(&mut self, value: Value) -> Step<()> {
        if self.table.len() == self.most {
            return Err(format!("more than {} values", self.most));
        }
        self.stack.push(self.table.len());
        self.table.push(value);
        Ok(())
    }

    fn text(&mut self, length: usize) -> Step<()> {
        let start = self.place;
        self.take(length)?;
        self.push(Value::Text(start..self.place))
    }

    fn pop(&mut self) -> Step<usize> {
        let above = self.marks.last().is_none_or(|mark| self.stack.len() > *mark);
        self.stack.pop().filter(|_| above).ok_or_else(|| "an empty stack".into())
    }

    fn pops(&mut self, count: usize) -> Step<Vec<usize>> {
        let mut values: Vec<usize> = (0..count).map(|_| self.pop()).collect::<Step<_>>()?;
        values.reverse();
        Ok(values)
    }

    fn pop_to_mark(&mut self) -> Step<Vec<usize>> {
        let mark = self.marks.pop().ok_or("no mark")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn last(&mut self) -> Step<usize> {
        self.stack.last().copied().ok_or_else(|| "an empty stack".into())
    }

    fn add(&mut self, values: Vec<usize>) -> Step<()> {
        let last = self.last()?;
        match &mut self.table[last] {
            Value::List(list) => list.extend(values),
            Value::Dict(entries) if values.len().is_multiple_of(2) => entries.extend(values),
            // A class of its own that is filled like one; what is in it does not matter.
            Value::Object(_) => {}
            _ => return Err("values for what holds none".into()),
        }
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Step<()> {
        let last = self.last()?;
        self.memo.insert(key, last);
        if self.memo.len() > self.most {
            return Err(format!("more than {} remembered values", self.most));
        }
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Step<()> {
        let place = *self.memo.get(&key).ok_or("a value that is not known yet")?;
        if self.stack.len() > self.most {
            return Err(format!("more than {} values", self.most));
        }
        self.stack.push(place);
        Ok(())
    }

    /// One instruction; a value if it is the last one.
    fn step(&mut self) -> Step<Option<usize>> {
        let instruction = self.take(1)?[0];
        match instruction {
            b'.' => return self.pop().map(Some),
            // Protocol and frames.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' if self.marks.len() > self.most => return Err(format!("more than {} marks", self.most)),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'N' => self.push(Value::Other)?,
            0x88 | 0x89 => self.push(Value::Bool(instruction == 0x88))?,
            b'I' => {
                let line = self.place;
                let number = self.line_number()?;
                // `I00` and `I01` are truth values.
                let value = match &self.bytes[line..line + 2] {
                    b"00" | b"01" => Value::Bool(number == 1),
                    _ => Value::Int(number),
                };
                self.push(value)?;
            }
            b'L' => {
                let number = self.line_number()?;
                self.push(Value::Int(number))?;
            }
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))?;
            }
            b'K' | b'M' => {
                let number = self.number(if instruction == b'K' { 1 } else { 2 })?;
                self.push(Value::Int(number as i64))?;
            }
            0x8a | 0x8b => {
                let length = self.number(if instruction == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(length)?;
                self.push(long(bytes))?;
            }
            b'F' => {
                self.line()?;
                self.push(Value::Other)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)?;
            }
            b'S' | b'V' => {
                let line = self.line()?;
                let quotes = if instruction == b'S' && line.len() >= 2 { 1 } else { 0 };
                self.push(Value::Text(line.start + quotes..line.end - quotes))?;
            }
            b'U' | b'C' | 0x8c => {
                let length = self.number(1)?;
                self.text(length)?;
            }
            b'T' | b'B' | b'X' => {
                let length = self.number(4)?;
                self.text(length)?;
            }
            0x8d | 0x8e | 0x96 => {
                let length = self.number(8)?;
                self.text(length)?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let values = self.pops(usize::from(instruction - 0x84))?;
                self.push(Value::Tuple(values))?;
            }
            b'l' | b't' | b'd' => {
                let values = self.pop_to_mark()?;
                self.push(match instruction {
                    b'l' => Value::List(values),
                    b't' => Value::Tuple(values),
                    _ if values.len().is_multiple_of(2) => Value::Dict(values),
                    _ => return Err("a key without a value".into()),
                })?;
            }
            b'a' => {
                let values = self.pops(1)?;
                self.add(values)?;
            }
            b's' => {
                let values = self.pops(2)?;
                self.add(values)?;
            }
            b'e' | b'u' => {
                let values = self.pop_to_mark()?;
                self.add(values)?;
            }
            b'g' | b'p' => {
                let key = usize::try_from(self.line_number()?).map_err(|_| "a negative place")?;
                if instruction == b'g' { self.recall(key)? } else { self.remember(key)? }
            }
            b'h' | b'j' => {
                let key = self.number(if instruction == b'h' { 1 } else { 4 })?;
                self.recall(key)?;
            }
            b'q' | b'r' => {
                let key = self.number(if instruction == b'q' { 1 } else { 4 })?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'c' => {
                self.line()?;
                self.line()?;
                self.push(Value::Other)?;
            }
            0x93 => {
                self.pops(2)?;
                self.push(Value::Other)?;
            }
            b'R' | 0x81 => {
                self.pops(2)?;
                self.push(Value::Object(None))?;
            }
            b'b' => {
                let state = self.pop()?;
                let last = self.last()?;
                self.table[last] = Value::Object(Some(state));
            }
            other => return Err(format!("an instruction that data does not need ({other:#04x})")),
        }
        Ok(None)
    }
}

/// A number of any length, if it is one of 64 bits.
fn long(bytes: &[u8]) -> Value {
    let Some(last) = bytes.last() else { return Value::Int(0) };
    let mut wide = [if *last >= 0x80 { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Other,
    }
    Value::Int(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests;

//! The stack machine: what each instruction does.
//!
//! The instructions are those of Python's `pickletools`.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::PickleError;
use crate::escapes;
use crate::memory::Memory;
use crate::pickle::Pickle;
use crate::program::Program;
use crate::value::{Index, Object, Persistent, Span, Value};

/// Spans have 32 bits, and decoded text can be twice as long as what it is decoded from.
const LONGEST: usize = 1 << 30;
const LATEST_PROTOCOL: u8 = 5;

type Step<T = ()> = Result<T, PickleError>;

pub(crate) struct Machine<'a> {
    program: Program<'a>,
    memory: Memory,
    /// What is made so far.
    made: Pickle<'a>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8], limit: usize) -> Self {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let made = Pickle {
            bytes,
            decoded: Vec::new(),
            sequences: Vec::new(),
            dicts: Vec::new(),
            globals: Vec::new(),
            objects: Vec::new(),
            persistent: Vec::new(),
            root: Value::None,
            length: 0,
        };
        Self {
            program: Program::new(bytes),
            memory: Memory::new(limit),
            made,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    pub fn run(mut self) -> Step<Pickle<'a>> {
        self.run_to_stop()?;
        Ok(self.made)
    }

    fn run_to_stop(&mut self) -> Step {
        loop {
            let code = self.program.instruction()?;
            if code == b'.' {
                self.made.root = self.pop()?;
                self.made.length = self.program.at();
                return Ok(());
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Step {
        match code {
            // The protocol, and the length of a frame.
            0x80 => {
                let protocol = self.program.take(1)?[0];
                if protocol > LATEST_PROTOCOL {
                    return Err(PickleError::Protocol { protocol, offset: self.program.offset() });
                }
                Ok(())
            }
            0x95 => self.program.take(8).map(drop),

            b'(' => {
                self.charge(Memory::VALUE)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop_or_unmark(),
            b'1' => self.pop_to_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }

            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(code == 0x88)),
            b'K' => self.int(1),
            b'M' => self.int(2),
            b'J' => {
                let number = self.program.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))
            }
            0x8a => self.long(1),
            0x8b => self.long(4),
            b'I' | b'L' => self.decimal(code),
            b'F' => {
                let number = self.parsed("a number")?;
                self.push(Value::Float(number))
            }
            b'G' => {
                let number = f64::from_bits(self.program.number(8)?.swap_bytes());
                self.push(Value::Float(number))
            }

            b'U' | 0x8c => self.counted(1, Value::Text),
            b'T' | b'X' => self.counted(4, Value::Text),
            0x8d => self.counted(8, Value::Text),
            b'C' => self.counted(1, Value::Bytes),
            b'B' => self.counted(4, Value::Bytes),
            0x8e | 0x96 => self.counted(8, Value::Bytes),
            b'S' => self.escaped(escapes::quoted),
            b'V' => self.escaped(escapes::raw_unicode),

            b')' => self.sequence(Value::Tuple, Vec::new()),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.sequence(Value::Tuple, items)
            }
            b't' => self.marked_sequence(Value::Tuple),
            b']' => self.sequence(Value::List, Vec::new()),
            b'l' => self.marked_sequence(Value::List),
            0x8f => self.sequence(Value::Set, Vec::new()),
            0x91 => self.marked_sequence(Value::Set),
            b'}' => self.dict(Vec::new()),
            b'd' => {
                let items = self.pop_to_mark()?;
                let entries = self.pairs(&items)?;
                self.dict(entries)
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)
            }
            0x90 => {
                let items = self.pop_to_mark()?;
                self.add(&items)
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)
            }

            b'p' => {
                let key = self.parsed("a number in the memo")?;
                self.memoize(key)
            }
            b'q' => self.program.number(1).and_then(|key| self.memoize(key)),
            b'r' => self.program.number(4).and_then(|key| self.memoize(key)),
            0x94 => self.memoize(self.memo.len() as u64),
            b'g' => {
                let key = self.parsed("a number in the memo")?;
                self.recall(key)
            }
            b'h' => self.program.number(1).and_then(|key| self.recall(key)),
            b'j' => self.program.number(4).and_then(|key| self.recall(key)),

            b'c' => {
                let global = self.global_of_lines()?;
                self.push(global)
            }
            0x93 => match self.pop_many(2)?[..] {
                [Value::Text(module), Value::Text(name)] => {
                    let global = self.global(module, name)?;
                    self.push(global)
                }
                _ => Err(self.expected("the text of a module and a name")),
            },
            b'R' | 0x81 => {
                let call = self.pop_many(2)?;
                self.object(call[0], call[1])
            }
            // The keyword arguments follow the others.
            0x92 => {
                let call = self.pop_many(3)?;
                let arguments = self.new_sequence(call[1..].to_vec())?;
                self.object(call[0], Value::Tuple(arguments))
            }
            b'i' => {
                let class = self.global_of_lines()?;
                let arguments = self.pop_to_mark()?;
                let arguments = self.new_sequence(arguments)?;
                self.object(class, Value::Tuple(arguments))
            }
            b'o' => {
                let mut arguments = self.pop_to_mark()?;
                if arguments.is_empty() {
                    return Err(self.expected("a class"));
                }
                let class = arguments.remove(0);
                let arguments = self.new_sequence(arguments)?;
                self.object(class, Value::Tuple(arguments))
            }
            b'b' => {
                let state = self.pop()?;
                let Value::Object(index) = self.top()? else { return Err(self.expected("an object of a class")) };
                self.made.objects[index.get()].state = Some(state);
                Ok(())
            }
            b'P' => {
                let line = self.program.line()?;
                self.persistent(Value::Text(Span::new(line)))
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)
            }
            0x97 | 0x98 => Err(PickleError::OutsideBuffer { offset: self.program.offset() }),
            _ => Err(PickleError::Instruction { code, offset: self.program.offset() }),
        }
    }

    fn expected(&self, expected: &'static str) -> PickleError {
        PickleError::Inconsistent { expected, offset: self.program.offset() }
    }

    fn charge(&mut self, values: usize) -> Step {
        self.memory.take(values).map_err(|limit| PickleError::TooLarge { limit, offset: self.program.offset() })
    }

    fn push(&mut self, value: Value) -> Step {
        self.charge(Memory::VALUE)?;
        self.stack.push(value);
        Ok(())
    }

    /// Where the values above the last mark begin: those below are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn top(&self) -> Step<Value> {
        self.stack[self.floor()..].last().copied().ok_or_else(|| self.expected("a value on the stack"))
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Value>> {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| self.expected("more values on the stack"))?;
        Ok(self.pop_from(start))
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| self.expected("a mark"))?;
        Ok(self.pop_from(mark))
    }

    /// The capacity of the result is its length.
    fn pop_from(&mut self, start: usize) -> Vec<Value> {
        let values = self.stack[start..].to_vec();
        self.stack.truncate(start);
        values
    }

    /// `POP` takes a mark away where nothing is above it.
    fn pop_or_unmark(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn int(&mut self, width: usize) -> Step {
        let number = self.program.number(width)?;
        self.push(Value::Int(number as i64))
    }

    /// An integer in two's complement, after its length.
    fn long(&mut self, width: usize) -> Step {
        let range = self.program.counted(width)?;
        let bytes = self.program.get(range);
        let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        self.push(match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::LargeInt,
        })
    }

    /// A line with an integer. `I00` and `I01` are truth values, and `L` numbers may end with that letter.
    fn decimal(&mut self, code: u8) -> Step {
        let line = self.ascii_line("an integer")?;
        let value = match line {
            "00" | "01" if code == b'I' => Value::Bool(line == "01"),
            _ => {
                let digits = line.strip_suffix('L').filter(|_| code == b'L').unwrap_or(line);
                let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
                if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(self.expected("an integer"));
                }
                digits.parse().map_or(Value::LargeInt, Value::Int)
            }
        };
        self.push(value)
    }

    fn ascii_line(&mut self, expected: &'static str) -> Step<&'a str> {
        let line = self.program.line()?;
        str::from_utf8(self.program.get(line)).map_err(|_| self.expected(expected))
    }

    fn parsed<T: std::str::FromStr>(&mut self, expected: &'static str) -> Step<T> {
        self.ascii_line(expected)?.parse().map_err(|_| self.expected(expected))
    }

    fn counted(&mut self, width: usize, kind: fn(Span) -> Value) -> Step {
        let range = self.program.counted(width)?;
        self.push(kind(Span::new(range)))
    }

    /// A line of text with escapes. Without one it stays where it is.
    fn escaped(&mut self, decode: fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str>) -> Step {
        let range = self.program.line()?;
        let line = self.program.get(range.clone());
        let start = self.made.decoded.len();
        decode(line, &mut self.made.decoded).map_err(|expected| self.expected(expected))?;
        let span = match self.inside(&range, start) {
            Some(inside) => {
                self.made.decoded.truncate(start);
                inside
            }
            None => self.made.bytes.len() + start..self.made.bytes.len() + self.made.decoded.len(),
        };
        self.push(Value::Text(Span::new(span)))
    }

    /// Where in a line decoded text stands as it is: in all of it or between its quotes.
    fn inside(&self, line: &Range<usize>, start: usize) -> Option<Range<usize>> {
        let decoded = &self.made.decoded[start..];
        let around = line.len().checked_sub(decoded.len())? / 2;
        let inside = line.start + around..line.end - around;
        (self.program.get(inside.clone()) == decoded).then_some(inside)
    }

    fn new_sequence(&mut self, items: Vec<Value>) -> Step<Index> {
        self.charge(Memory::CONTAINER)?;
        self.made.sequences.push(items);
        Ok(Pickle::index(self.made.sequences.len() - 1))
    }

    fn sequence(&mut self, kind: fn(Index) -> Value, items: Vec<Value>) -> Step {
        let index = self.new_sequence(items)?;
        self.push(kind(index))
    }

    fn marked_sequence(&mut self, kind: fn(Index) -> Value) -> Step {
        let items = self.pop_to_mark()?;
        self.sequence(kind, items)
    }

    fn dict(&mut self, entries: Vec<(Value, Value)>) -> Step {
        self.charge(Memory::CONTAINER)?;
        self.made.dicts.push(entries);
        self.push(Value::Dict(Pickle::index(self.made.dicts.len() - 1)))
    }

    fn pairs(&self, items: &[Value]) -> Step<Vec<(Value, Value)>> {
        match items.as_chunks() {
            (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.expected("a value for each key")),
        }
    }

    fn append(&mut self, items: &[Value]) -> Step {
        match self.top()? {
            Value::List(index) => self.made.sequences[index.get()].extend(items),
            Value::Object(index) => self.made.objects[index.get()].items.extend(items),
            _ => return Err(self.expected("a list")),
        }
        Ok(())
    }

    fn add(&mut self, items: &[Value]) -> Step {
        match self.top()? {
            Value::Set(index) => self.made.sequences[index.get()].extend(items),
            Value::Object(index) => self.made.objects[index.get()].items.extend(items),
            _ => return Err(self.expected("a set")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Value]) -> Step {
        let pairs = self.pairs(items)?;
        match self.top()? {
            Value::Dict(index) => self.made.dicts[index.get()].extend(pairs),
            Value::Object(index) => self.made.objects[index.get()].entries.extend(pairs),
            _ => return Err(self.expected("a dictionary")),
        }
        Ok(())
    }

    fn memoize(&mut self, key: u64) -> Step {
        self.charge(Memory::MEMO)?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Step {
        let value = self.memo.get(&key).copied().ok_or_else(|| self.expected("a value in the memo"))?;
        self.push(value)
    }

    fn global(&mut self, module: Span, name: Span) -> Step<Value> {
        self.charge(Memory::CONTAINER)?;
        self.made.globals.push((module, name));
        Ok(Value::Global(Pickle::index(self.made.globals.len() - 1)))
    }

    fn global_of_lines(&mut self) -> Step<Value> {
        let (module, name) = (self.program.line()?, self.program.line()?);
        self.global(Span::new(module), Span::new(name))
    }

    fn object(&mut self, function: Value, arguments: Value) -> Step {
        self.charge(Memory::OBJECT)?;
        let (items, entries) = (Vec::new(), Vec::new());
        let offset = self.program.offset();
        self.made.objects.push(Object { function, arguments, state: None, items, entries, offset });
        self.push(Value::Object(Pickle::index(self.made.objects.len() - 1)))
    }

    fn persistent(&mut self, id: Value) -> Step {
        self.charge(Memory::CONTAINER)?;
        self.made.persistent.push(Persistent { id, offset: self.program.offset() });
        self.push(Value::Persistent(Pickle::index(self.made.persistent.len() - 1)))
    }
}

#[cfg(test)]
mod tests;

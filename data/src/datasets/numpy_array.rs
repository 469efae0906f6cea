//! Arrays and numbers of NumPy in a pickle.
//!
//! NumPy pickles an array in one of two ways, under the module names of versions 1 (`numpy.core`) and 2 (`numpy._core`):
//!
//! - `multiarray._reconstruct(…)` with the state `(version, shape, type, by columns, bytes)`;
//! - in protocol 5, `numeric._frombuffer(bytes, type, shape, order)`.
//!
//! A number is `multiarray.scalar(type, bytes)`, and a type is `dtype(name, …)` with the state `(version, byte order, …)`.

use std::borrow::Cow;

use qare_pickle::{Pickle, Value};

/// An array as it is stored.
pub(super) struct Array<'a> {
    pub shape: Vec<i64>,
    pub kind: Kind,
    /// Whether the first index varies fastest.
    by_columns: bool,
    pub bytes: Cow<'a, [u8]>,
}

/// The type of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// As NumPy writes it: `u1`, `i8`, `f4`.
    pub name: String,
    big_endian: bool,
}

impl<'a> Array<'a> {
    /// The array that a value is, if it is one.
    pub fn of(pickle: &'a Pickle, value: Value) -> Option<Self> {
        let (module, name, arguments) = call(pickle, value)?;
        let (shape, kind, by_columns, bytes) = match (module, name) {
            ("multiarray", b"_reconstruct") => {
                let [_, shape, kind, Value::Bool(by_columns), bytes] = *pickle.items(pickle.object(value)?.state?)?
                else {
                    return None;
                };
                (shape, kind, by_columns, bytes)
            }
            ("numeric", b"_frombuffer") => {
                let [bytes, kind, shape, order] = *arguments else { return None };
                (shape, kind, pickle.bytes(order) == Some(b"F"), bytes)
            }
            _ => return None,
        };
        let side = |side: &Value| if let Value::Int(side) = side { Some(*side) } else { None };
        Some(Self {
            shape: pickle.items(shape)?.iter().map(side).collect::<Option<_>>()?,
            kind: Kind::of(pickle, kind)?,
            by_columns,
            bytes: pickle.raw(bytes, usize::MAX)?,
        })
    }

    /// The bytes of a matrix of bytes with `columns` columns, row by row.
    pub fn into_rows(self, columns: usize) -> Vec<u8> {
        if !self.by_columns {
            return self.bytes.into_owned();
        }
        let rows = self.bytes.len() / columns;
        let mut out = vec![0; self.bytes.len()];
        for (column, values) in self.bytes.chunks_exact(rows.max(1)).enumerate() {
            for (row, value) in values.iter().enumerate() {
                out[row * columns + column] = *value;
            }
        }
        out
    }

    /// The numbers of a list of integers; [`None`] if it is not one.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let width = self.kind.width()?;
        let whole = self.bytes.len().is_multiple_of(width) && self.shape == [(self.bytes.len() / width) as i64];
        whole.then(|| self.bytes.chunks_exact(width).map(|bytes| self.kind.integer(bytes)).collect())
    }
}

/// The integer that a value is: one of Python, or one of NumPy.
pub(super) fn integer(pickle: &Pickle, value: Value) -> Option<i64> {
    if let Value::Int(number) = value {
        return Some(number);
    }
    let (module, name, arguments) = call(pickle, value)?;
    let (("multiarray", b"scalar"), [kind, bytes]) = ((module, name), arguments) else { return None };
    let kind = Kind::of(pickle, *kind)?;
    let width = kind.width()?;
    let bytes = pickle.raw(*bytes, width).filter(|bytes| bytes.len() == width)?;
    Some(kind.integer(&bytes))
}

impl Kind {
    /// The longest name of a type of numbers.
    const LONGEST: usize = 8;

    fn of(pickle: &Pickle, value: Value) -> Option<Self> {
        let object = pickle.object(value)?;
        let (b"numpy", b"dtype") = pickle.global(object.function)? else { return None };
        let name = pickle.raw(*pickle.items(object.arguments)?.first()?, Self::LONGEST)?;
        let name = std::str::from_utf8(&name).ok().filter(|name| name.len() <= Self::LONGEST)?.to_owned();
        let order = object.state.and_then(|state| pickle.bytes(*pickle.items(state)?.get(1)?));
        Some(Self { name, big_endian: order == Some(b">") })
    }

    /// The bytes of an integer; [`None`] for other types.
    fn width(&self) -> Option<usize> {
        match self.name.as_str() {
            "i1" | "u1" => Some(1),
            "i2" | "u2" => Some(2),
            "i4" | "u4" => Some(4),
            "i8" | "u8" => Some(8),
            _ => None,
        }
    }

    /// The integer of these bytes. One of 64 bits without a sign that is too large for `i64` becomes `i64::MAX`.
    fn integer(&self, bytes: &[u8]) -> i64 {
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = if self.big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) };
        let unused = 64 - 8 * bytes.len() as u32;
        if self.name.starts_with('i') {
            (number << unused) as i64 >> unused
        } else {
            i64::try_from(number).unwrap_or(i64::MAX)
        }
    }
}

/// A call of a function of NumPy's core: the module in it, the name and the arguments.
fn call<'p>(pickle: &'p Pickle, value: Value) -> Option<(&'p str, &'p [u8], &'p [Value])> {
    let object = pickle.object(value)?;
    let (module, name) = pickle.global(object.function)?;
    let module = std::str::from_utf8(module).ok()?;
    let module = module.strip_prefix("numpy.core.").or_else(|| module.strip_prefix("numpy._core."))?;
    Some((module, name, pickle.items(object.arguments)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_every_width_order_and_sign() {
        for (name, big_endian, bytes, expected) in [
            ("u1", false, &[200][..], 200),
            ("i1", false, &[200], -56),
            ("i2", false, &[1, 2], 0x201),
            ("u2", true, &[1, 2], 0x102),
            ("i4", true, &[0xff, 0xff, 0xff, 0xfe], -2),
            ("u4", false, &[0xff; 4], 0xffff_ffff),
            ("i8", false, &[0xff; 8], -1),
            ("u8", false, &[0xff; 8], i64::MAX),
        ] {
            let kind = Kind { name: name.to_owned(), big_endian };
            assert_eq!((kind.width(), kind.integer(bytes)), (Some(bytes.len()), expected), "{name}");
        }
        assert_eq!(Kind { name: "f4".to_owned(), big_endian: false }.width(), None);
    }
}

//! The contents of an array: its flags, dimensions, name and values.

use crate::array::{Array, Value};
use crate::element::{
    DOUBLE, Element, Elements, INT8, INT16, INT32, INT64, MATRIX, SINGLE, UINT8, UINT16, UINT32, UINT64, UTF8, UTF16,
    UTF32,
};
use crate::error::MatError;

/// How deep arrays in cells and structs may nest.
pub const DEPTH: usize = 16;

/// The classes of arrays, as numbered in the file.
const CELL: u32 = 1;
const STRUCT: u32 = 2;
const CHAR: u32 = 4;
const NUMERIC: std::ops::RangeInclusive<u32> = 6..=15;
/// The flag of complex numbers.
const COMPLEX: u32 = 1 << 11;

/// The name and the values of an array.
pub fn array(element: Element, big: bool) -> Result<(String, Array), MatError> {
    nested(element, big, 0)
}

fn nested(element: Element, big: bool, depth: usize) -> Result<(String, Array), MatError> {
    if depth > DEPTH {
        return Err(element.damaged(format!("arrays nest more than {DEPTH} deep")));
    }
    if element.bytes.is_empty() {
        // So MATLAB writes `[]` in a cell or a struct.
        return Ok((String::new(), Array { dims: vec![0, 0], value: Value::Numbers(Vec::new()) }));
    }
    let mut parts = element.elements(big);
    let flags = parts.next()?.numbers32(UINT32, big, "the flags of an array")?;
    let class = flags.first().ok_or_else(|| element.damaged("the array has no flags".to_owned()))? & 0xff;
    let complex = flags[0] & COMPLEX != 0;
    if !(class == CELL || class == STRUCT || class == CHAR || NUMERIC.contains(&class)) {
        // Objects have other parts than their dimensions, so they are not looked at.
        return Ok((String::new(), Array { dims: vec![0, 0], value: Value::Other }));
    }
    let sides = parts.next()?;
    let dims: Vec<usize> =
        sides.numbers32(INT32, big, "the dimensions of an array")?.into_iter().map(|side| side as usize).collect();
    let size = dims.iter().try_fold(1usize, |size, side| size.checked_mul(*side));
    let size = size.filter(|_| dims.len() >= 2 && dims.iter().all(|side| *side <= i32::MAX as usize));
    let size = size.ok_or_else(|| sides.damaged(format!("dimensions {dims:?}")))?;
    let name = ascii(parts.next()?, "the name of an array")?;
    let value = match class {
        CELL => Value::Cells(arrays(&element, &mut parts, size, big, depth)?),
        STRUCT => {
            let fields = fields(&mut parts, big)?;
            let number = size.checked_mul(fields.len());
            let number = number.ok_or_else(|| element.damaged(format!("{size} structs of {} fields", fields.len())))?;
            let values = arrays(&element, &mut parts, number, big, depth)?;
            Value::Structs { fields, values }
        }
        CHAR => Value::Text(text(parts.next()?, big)?),
        _ if complex => Value::Other,
        _ => {
            let element = parts.next()?;
            let numbers = numbers(element, big)?;
            if numbers.len() != size {
                return Err(element.damaged(format!("{} numbers for the dimensions {dims:?}", numbers.len())));
            }
            Value::Numbers(numbers)
        }
    };
    Ok((name, Array { dims, value }))
}

/// The arrays in cells or structs.
fn arrays(
    outer: &Element,
    parts: &mut Elements,
    number: usize,
    big: bool,
    depth: usize,
) -> Result<Vec<Array>, MatError> {
    // The smallest array is a tag of eight bytes.
    if number > parts.left() / 8 {
        return Err(outer.damaged(format!("{number} arrays are announced in {} bytes", parts.left())));
    }
    let mut arrays = Vec::with_capacity(number);
    for _ in 0..number {
        let element = parts.next()?;
        if element.kind != MATRIX {
            return Err(element.damaged(format!("kind {} where an array should be", element.kind)));
        }
        arrays.push(nested(element, big, depth + 1)?.1);
    }
    Ok(arrays)
}

/// The names of the fields of structs: each takes the same number of bytes, and ends with a zero.
fn fields(parts: &mut Elements, big: bool) -> Result<Vec<String>, MatError> {
    let element = parts.next()?;
    let length = element.numbers32(INT32, big, "the length of field names")?;
    let length = length.first().copied().filter(|length| *length > 1);
    let length = length.ok_or_else(|| element.damaged("a field name takes less than two bytes".to_owned()))? as usize;
    let element = parts.next()?;
    if element.kind != INT8 || !element.bytes.len().is_multiple_of(length) {
        let found = format!("kind {} of {} bytes", element.kind, element.bytes.len());
        return Err(element.damaged(format!("{found} where field names of {length} bytes should be")));
    }
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    Ok(element.bytes.chunks_exact(length).map(name).collect())
}

fn ascii(element: Element, what: &str) -> Result<String, MatError> {
    match element.kind {
        INT8 | UTF8 => Ok(String::from_utf8_lossy(element.bytes).into_owned()),
        kind => Err(element.damaged(format!("kind {kind} where {what} should be"))),
    }
}

fn text(element: Element, big: bool) -> Result<String, MatError> {
    match element.kind {
        UTF8 => Ok(String::from_utf8_lossy(element.bytes).into_owned()),
        INT8 | UINT8 => Ok(element.bytes.iter().copied().map(char::from).collect()),
        UINT16 | UTF16 => {
            let (units, rest) = element.bytes.as_chunks();
            if !rest.is_empty() {
                return Err(element.damaged(format!("{} bytes of 16-bit characters", element.bytes.len())));
            }
            let unit = |bytes: &[u8; 2]| if big { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) };
            let decoded = char::decode_utf16(units.iter().map(unit));
            Ok(decoded.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        UTF32 => {
            let codes = element.numbers32(UTF32, big, "characters")?;
            Ok(codes.into_iter().map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        kind => Err(element.damaged(format!("kind {kind} where characters should be"))),
    }
}

fn numbers(element: Element, big: bool) -> Result<Vec<f64>, MatError> {
    macro_rules! read {
        ($number:ty) => {{
            let (chunks, rest) = element.bytes.as_chunks();
            if !rest.is_empty() {
                let bytes = element.bytes.len();
                return Err(element.damaged(format!("{bytes} bytes of numbers of {} bytes", size_of::<$number>())));
            }
            let number = |bytes: &[u8; size_of::<$number>()]| {
                (if big { <$number>::from_be_bytes(*bytes) } else { <$number>::from_le_bytes(*bytes) }) as f64
            };
            Ok(chunks.iter().map(number).collect())
        }};
    }
    match element.kind {
        INT8 => read!(i8),
        UINT8 => read!(u8),
        INT16 => read!(i16),
        UINT16 => read!(u16),
        INT32 => read!(i32),
        UINT32 => read!(u32),
        SINGLE => read!(f32),
        DOUBLE => read!(f64),
        INT64 => read!(i64),
        UINT64 => read!(u64),
        kind => Err(element.damaged(format!("kind {kind} where numbers should be"))),
    }
}

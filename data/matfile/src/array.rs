//! Arrays of MATLAB.

/// An array. In MATLAB, a number is an array of 1×1, and a text one of 1×N characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub(crate) dims: Vec<usize>,
    pub(crate) value: Value,
}

/// The values of an [`Array`], in column-major order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Numbers of any type, or truth values as 0 and 1. Integers beyond 2⁵³ are rounded.
    Numbers(Vec<f64>),
    /// Characters.
    Text(String),
    /// Cells.
    Cells(Vec<Array>),
    /// Structs: the names of the fields, and the values of all fields of the first struct, of the second, and so on.
    Structs {
        /// The names of the fields.
        fields: Vec<String>,
        /// As many values as structs times fields.
        values: Vec<Array>,
    },
    /// Something that is not read: sparse arrays, complex numbers, objects and functions.
    Other,
}

impl Array {
    /// The numbers of rows, columns and so on; at least two.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The values.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The number, if the array is exactly one.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Numbers(numbers) if numbers.len() == 1 => Some(numbers[0]),
            _ => None,
        }
    }

    /// The text, if the array is one row of characters. An empty text has no row.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) if text.is_empty() || self.dims.split_first().is_some_and(|(rows, _)| *rows == 1) => {
                Some(text)
            }
            _ => None,
        }
    }

    /// The cells, if the array is one of cells.
    pub fn cells(&self) -> Option<&[Array]> {
        match &self.value {
            Value::Cells(cells) => Some(cells),
            _ => None,
        }
    }

    /// The values of a field of all structs in order, if the array is one of structs with this field.
    pub fn field(&self, name: &str) -> Option<impl ExactSizeIterator<Item = &Array>> {
        match &self.value {
            Value::Structs { fields, values } => {
                let place = fields.iter().position(|field| field == name)?;
                Some(values.chunks_exact(fields.len()).map(move |structure| &structure[place]))
            }
            _ => None,
        }
    }
}

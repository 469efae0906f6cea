//! Writing NumPy's file format, version 1.0.

/// An element type of an array.
pub trait Number: Copy {
    /// NumPy's name of the type.
    const TYPE: &'static str;
    /// Appends the little-endian bytes of the number.
    fn write(self, bytes: &mut Vec<u8>);
}

impl Number for f32 {
    const TYPE: &'static str = "<f4";
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Number for i64 {
    const TYPE: &'static str = "<i8";
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Length of the magic string, the version and the length field.
const START: usize = 10;
/// The data is aligned to this number of bytes.
const ALIGNMENT: usize = 64;

/// Returns the bytes of a file with an array in row-major order.
///
/// Source: `numpy.lib.format`, "Format Version 1.0".
///
/// # Panics
/// If the count of numbers does not match the shape.
pub fn npy<T: Number>(shape: &[u64], numbers: impl Iterator<Item = T>) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    // A Python tuple of one number needs a trailing comma.
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let mut dictionary = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes}), }}", T::TYPE);
    let length = (START + dictionary.len() + 1).next_multiple_of(ALIGNMENT) - START;
    dictionary += &" ".repeat(length - 1 - dictionary.len());
    dictionary.push('\n');

    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(dictionary.into_bytes());
    let mut count = 0;
    for number in numbers {
        number.write(&mut bytes);
        count += 1;
    }
    assert_eq!(count, shape.iter().product::<u64>(), "numbers of an array of shape {shape:?}");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_those_of_numpy() {
        // np.save of np.array([[1, 2, 3], [4, 5, -6]], dtype='f4'), and of np.array([7, -1]).
        let header = |dictionary: &str| format!("{dictionary:117}\n").into_bytes();
        let start = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, -6.0];
        let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dictionary = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        assert_eq!(npy(&[2, 3], values.into_iter()), [start.clone(), dictionary, body].concat());
        let dictionary = header("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }");
        let body = [7, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255].to_vec();
        assert_eq!(npy(&[2], [7i64, -1].into_iter()), [start, dictionary, body].concat());
    }
}

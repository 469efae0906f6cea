//! NumPy's file format, version 1.0, as far as features and labels need it.

/// A number that such a file can hold.
pub trait Number: Copy {
    /// Its type as NumPy writes it.
    const TYPE: &'static str;
    /// Appends its bytes.
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

/// Magic number, version and the length of the dictionary that follows.
const START: usize = 10;
/// The numbers begin at a multiple of it.
const ALIGNMENT: usize = 64;

/// The bytes of a file of numbers in row-major order.
///
/// Source: `numpy.lib.format`, "Format Version 1.0".
///
/// # Panics
/// If there are not as many numbers as the shape says.
pub fn npy<T: Number>(shape: &[u64], numbers: impl Iterator<Item = T>) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    // A trailing comma makes a tuple of a single number; before the bracket it has no space after it.
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
    fn bytes_are_those_of_numpy() {
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

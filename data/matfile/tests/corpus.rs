//! MAT-files that SciPy has written, by `tests/make_corpus.py`: what they hold, whole and damaged.

use std::path::Path;

use proptest::prelude::*;
use qare_matfile::{DEPTH, MatError, MatFile, Value};

const LIMIT: usize = 1 << 20;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)).unwrap()
}

fn numbers(file: &MatFile, name: &str) -> Vec<f64> {
    match file.variable(name).unwrap().value() {
        Value::Numbers(numbers) => numbers.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_files_hold_what_the_script_wrote() {
    for name in ["plain.mat", "compressed.mat"] {
        let file = MatFile::read(&bytes(name), LIMIT).unwrap();
        for kind in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"] {
            let variable = format!("of_{kind}");
            assert_eq!(file.variable(&variable).unwrap().dims(), [2, 3]);
            assert_eq!(numbers(&file, &variable), [0., 100., 1., 101., 2., 102.], "{kind}");
        }
        let people = file.variable("people").unwrap();
        assert_eq!(people.dims(), [1, 2]);
        let names: Vec<_> = people.field("name").unwrap().map(|name| name.text()).collect();
        assert_eq!(names, [Some("Ada"), Some("Émile Łukasiewicz")]);
        let ages: Vec<_> = people.field("age").unwrap().map(|age| age.number()).collect();
        assert_eq!(ages, [Some(36.), Some(-300.)]);
        let friends: Vec<_> = people.field("friend").unwrap().collect();
        assert_eq!(friends[0].field("name").unwrap().next().unwrap().text(), Some("Mary"));
        assert_eq!((friends[1].dims(), friends[1].number()), (&[0, 0][..], None));
        assert!(people.field("size").is_none() && friends[1].field("name").is_none());
        let cells = file.variable("cells").unwrap();
        assert_eq!((cells.dims(), cells.text(), cells.number()), (&[2, 2][..], None, None));
        let cells = cells.cells().unwrap();
        assert_eq!((cells[0].text(), cells[1].text(), cells[2].number()), (Some("one"), Some(""), Some(2.5)));
        assert_eq!(cells[3].value(), &Value::Numbers(vec![0., 1., 2.]));
        assert_eq!(numbers(&file, "truth"), [1., 0.]);
        assert_eq!(numbers(&file, "cube")[..3], [0., 12., 4.]);
        // Two rows of text are characters in column-major order, and no text.
        let rows = file.variable("rows").unwrap();
        assert_eq!((rows.value(), rows.text()), (&Value::Text("acbd".to_owned()), None));
        assert_eq!(file.variable("none").unwrap().field("field").unwrap().len(), 0);
        assert_eq!(file.variable("complex").unwrap().value(), &Value::Other);
        assert!(file.variable("sparse").is_none_or(|sparse| sparse.value() == &Value::Other));
        assert_eq!(file.variables().len(), 18);
        assert_eq!(file.variable("absent"), None);
    }
}

/// An element of at least five bytes, in big-endian order.
fn element(kind: u32, contents: &[u8]) -> Vec<u8> {
    let length = contents.len() as u32;
    let mut bytes = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An array in big-endian order.
fn matrix(class: u32, dims: &[u32], values: &[u8]) -> Vec<u8> {
    let parts = [element(6, &words(&[class, 0])), element(5, &words(dims)), element(1, b"named"), values.to_vec()];
    element(14, &parts.concat())
}

/// A file in big-endian order.
fn file(variables: &[u8]) -> Vec<u8> {
    let mut file = vec![b' '; 124];
    file.extend(b"\x01\0MI");
    file.extend(variables);
    file
}

#[test]
fn big_endian_files_are_read() {
    let text = matrix(4, &[1, 3], &element(4, &[0, 97, 0x20, 0xac, 0, 98]));
    let doubles = matrix(6, &[1, 1], &element(9, &1234.5f64.to_be_bytes()));
    // Three bytes in a small element: the length and the kind in two bytes each.
    let small = matrix(9, &[1, 3], &[0, 3, 0, 2, 7, 8, 9, 0]);
    let read = MatFile::read(&file(&[text, doubles, small].concat()), LIMIT).unwrap();
    let arrays: Vec<_> = read.variables().collect();
    assert_eq!((arrays[0].0, arrays[0].1.text()), ("named", Some("a€b")));
    assert_eq!(arrays[1].1.number(), Some(1234.5));
    assert_eq!(arrays[2].1.value(), &Value::Numbers(vec![7., 8., 9.]));
}

fn problem(bytes: &[u8]) -> String {
    MatFile::read(bytes, LIMIT).unwrap_err().to_string()
}

#[test]
fn what_announces_too_much_is_refused() {
    let many = matrix(1, &[1 << 30, 1], &[]);
    assert!(problem(&file(&many)).contains("arrays are announced in 0 bytes"));
    let overflow = matrix(1, &[i32::MAX as u32; 5], &[]);
    assert!(problem(&file(&overflow)).contains("dimensions ["));
    let negative = matrix(6, &[1, u32::MAX], &element(9, &[0; 8]));
    assert!(problem(&file(&negative)).contains("dimensions ["));
    let fewer = matrix(6, &[1, 3], &element(9, &[0; 16]));
    assert!(problem(&file(&fewer)).contains("2 numbers for the dimensions [1, 3]"));
    let half = matrix(6, &[1, 2], &element(9, &[0; 12]));
    assert!(problem(&file(&half)).contains("12 bytes of numbers of 8 bytes"));
    let mut cut = matrix(6, &[1, 1], &element(9, &[0; 8]));
    cut[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(problem(&file(&cut)).contains("at offset 128: 4294967295 bytes are announced"));
    let mut deep = element(14, &[]);
    for _ in 0..=DEPTH {
        deep = matrix(1, &[1, 1], &deep);
    }
    assert!(problem(&file(&deep)).contains("arrays nest more than 16 deep"));
    let plain = bytes("plain.mat");
    for (name, contents) in [("plain", plain.len() - 128 - 18 * 8), ("compressed", plain.len() - 128)] {
        let bytes = bytes(&format!("{name}.mat"));
        assert!(MatFile::read(&bytes, contents).is_ok(), "{name}");
        assert_eq!(MatFile::read(&bytes, contents - 1), Err(MatError::TooLarge { limit: contents - 1 }), "{name}");
    }
}

#[test]
fn other_formats_are_named() {
    let plain = bytes("plain.mat");
    let mut hdf5 = plain.clone();
    hdf5[125] = 2;
    assert_eq!(MatFile::read(&hdf5, LIMIT), Err(MatError::Hdf5));
    for other in [&b""[..], &plain[..127], &[0; 200], b"not a MAT-file"] {
        assert_eq!(MatFile::read(other, LIMIT), Err(MatError::Header));
    }
    assert_eq!(MatFile::read(&plain[..128], LIMIT).unwrap().variables().len(), 0);
}

#[test]
fn every_shorter_file_is_refused_or_has_fewer_variables() {
    for name in ["plain.mat", "compressed.mat"] {
        let bytes = bytes(name);
        for length in 0..bytes.len() {
            if let Ok(file) = MatFile::read(&bytes[..length], LIMIT) {
                // What fills the last element may be missing.
                assert!(file.variables().len() < 18 || bytes.len() - length < 8, "{name}, {length} bytes");
            }
        }
    }
}

#[test]
fn a_changed_byte_of_a_compressed_file_is_found() {
    let bytes = bytes("compressed.mat");
    let whole = MatFile::read(&bytes, LIMIT).unwrap();
    for place in 128..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        // Deflate does not look at some bits. The checksum tells what else changes.
        if let Ok(read) = MatFile::read(&changed, LIMIT) {
            assert_eq!(format!("{read:?}"), format!("{whole:?}"), "byte {place}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the bytes are, the reader ends with a file or an error.
    #[test]
    fn damaged_files_end_in_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = bytes("plain.mat");
        for (place, byte) in changes {
            let place = place.index(bytes.len() - 128) + 128;
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Err(error) = MatFile::read(&bytes, LIMIT) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

//! Pickles that Python has written, by `tests/make_corpus.py`: what they hold, whole and damaged.

use std::path::{Path, PathBuf};

use qare_pickle::{Pickle, PickleError, Value};

const LIMIT: usize = 100_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// The names of the files without their ending, and their bytes.
fn pickles() -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path());
    let mut pickles: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "pickle"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    pickles.sort();
    pickles
}

/// The JSON of a text, in ASCII as Python writes it.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    let mut units = [0; 2];
    json.chars()
        .map(|character| match character {
            ' '..='~' => character.to_string(),
            _ => character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        })
        .collect()
}

fn global(pickle: &Pickle, value: Value) -> String {
    let (module, name) = pickle.global(value).unwrap();
    format!("{}.{}", std::str::from_utf8(module).unwrap(), std::str::from_utf8(name).unwrap())
}

/// A value in the form of the script.
fn shown(pickle: &Pickle, value: Value) -> String {
    let each = |values: &[Value]| values.iter().map(|one| shown(pickle, *one)).collect::<Vec<_>>().join(", ");
    let pairs = |entries: &[(Value, Value)]| {
        let pair = |(key, value): &(Value, Value)| format!("{}: {}", shown(pickle, *key), shown(pickle, *value));
        entries.iter().map(pair).collect::<Vec<_>>().join(", ")
    };
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let items = each(pickle.items(value).unwrap_or_default());
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::LargeInt => "large".to_owned(),
        Value::Float(number) => format!("float {}", hexadecimal(&number.to_le_bytes())),
        Value::Text(_) => quoted(pickle.text(value).unwrap()),
        Value::Bytes(_) => format!("bytes {}", hexadecimal(pickle.bytes(value).unwrap())),
        Value::Tuple(_) => format!("({items})"),
        Value::List(_) => format!("[{items}]"),
        Value::Set(_) => format!("set [{items}]"),
        Value::Dict(_) => format!("{{{}}}", pairs(pickle.entries(value).unwrap())),
        Value::Global(_) => global(pickle, value),
        Value::Persistent(index) => format!("outside {}", shown(pickle, pickle.persistent()[index.get()].id)),
        Value::Object(_) => {
            let object = pickle.object(value).unwrap();
            let (function, arguments) = (global(pickle, object.function), pickle.items(object.arguments).unwrap());
            let called =
                format!("{function}({})[{}]{{{}}}", each(arguments), each(&object.items), pairs(&object.entries));
            match object.state {
                None => called,
                Some(state) => format!("{called} with {}", shown(pickle, state)),
            }
        }
    }
}

#[test]
fn pickles_of_every_protocol_hold_what_python_wrote() {
    let expected = std::fs::read_to_string(corpus().join("corpus.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&expected).unwrap();
    let pickles = pickles();
    assert_eq!(pickles.len(), 2 * expected.len());
    for (name, bytes) in &pickles {
        let pickle = Pickle::read(bytes, LIMIT).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(pickle.length(), bytes.len(), "{name}");
        let expected = expected[name.trim_end_matches("_python")].as_str().unwrap();
        assert_eq!(shown(&pickle, pickle.root()), expected, "{name}");
    }
}

/// Protocols before 3 have calls in the place of bytes, and those before 5 in the place of a `bytearray`.
#[test]
fn bytes_of_every_protocol_are_the_bytes_of_python() {
    let all: Vec<u8> = (0..=255).collect();
    let expected: [&[u8]; 4] = [b"", b"plain", &all, &b"long ".repeat(60)];
    for (name, bytes) in pickles() {
        let pickle = Pickle::read(&bytes, LIMIT).unwrap();
        let raw = |value: Value, most| pickle.raw(value, most).map(|bytes| bytes.into_owned());
        let root = pickle.root();
        if name.starts_with("bytes_") {
            let items = pickle.items(root).unwrap();
            assert_eq!(items.len(), expected.len(), "{name}");
            for (item, expected) in items.iter().zip(expected) {
                assert_eq!(raw(*item, expected.len()).as_deref(), Some(expected), "{name}");
            }
            // Of a call no more is carried out than is asked for.
            let is_call = matches!(items[2], Value::Object(_));
            assert_eq!(raw(items[2], 255).is_none(), is_call, "{name}");
        } else if name.starts_with("bytearray_") {
            assert_eq!(raw(root, 100).as_deref(), Some(&b"changes"[..]), "{name}");
        } else {
            assert_eq!(raw(root, 100), None, "{name}");
        }
    }
}

/// Names of two kinds: `str`, and `bytes` that an early protocol writes as a call.
#[test]
fn an_entry_has_a_name_of_text_or_of_bytes() {
    let call = b"c_codecs\nencode\n(Vlabels\nVlatin1\ntR";
    for key in [&b"Vlabels\n"[..], b"C\x06labels", b"U\x06labels", call] {
        let bytes = [b"}", key, b"K\x07s."].concat();
        let pickle = Pickle::read(&bytes, LIMIT).unwrap();
        assert_eq!(pickle.entry(pickle.root(), "labels"), Some(Value::Int(7)), "{key:?}");
        assert_eq!(pickle.entry(pickle.root(), "label"), None, "{key:?}");
    }
    for other in [
        &b"c_codecs\ndecode\n(Vlabels\nVlatin1\ntR"[..],
        b"cos\nencode\n(Vlabels\nVlatin1\ntR",
        b"c_codecs\nencode\n(Vlabels\nVutf8\ntR",
        b"c_codecs\nencode\n(Vlabels\ntR",
        b"c_codecs\nencode\nVlabels\nR",
    ] {
        let bytes = [b"}", other, b"K\x07s."].concat();
        let pickle = Pickle::read(&bytes, LIMIT).unwrap();
        assert_eq!(pickle.entry(pickle.root(), "labels"), None, "{other:?}");
    }
}

#[test]
fn a_pickle_that_is_cut_is_an_error_at_any_length() {
    for (name, bytes) in pickles() {
        for length in 0..bytes.len() {
            let error = Pickle::read(&bytes[..length], LIMIT).unwrap_err();
            assert!(
                matches!(error, PickleError::Cut { offset } if offset <= length),
                "{name}, {length} bytes: {error}"
            );
        }
    }
}

#[test]
fn a_pickle_with_a_changed_byte_is_read_or_an_error_that_says_where() {
    for (name, bytes) in pickles() {
        for (at, by) in (0..bytes.len()).flat_map(|at| [0x01, 0x15, 0x80, 0xff].map(|by| (at, by))) {
            let mut damaged = bytes.clone();
            damaged[at] ^= by;
            match Pickle::read(&damaged, LIMIT) {
                Ok(pickle) => assert!(pickle.length() <= damaged.len(), "{name}, byte {at}"),
                Err(error) => assert!(error.to_string().contains("at offset"), "{name}, byte {at}: {error}"),
            }
        }
    }
}

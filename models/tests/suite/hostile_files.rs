//! Files made to take all memory, all time or all of the stack: each is an error that names the file.

use std::fmt::Write;

use burn_flex::Flex;
use qare_models::{BackboneName, StateDict, WeightsError, named_tensors};
use tempfile::tempdir;
use zip::CompressionMethod::{Deflated, Stored};

use crate::torch_files::{archive, dict, file, legacy, tensor, text, zip};

/// The error of reading a file and of looking for a backbone there.
#[track_caller]
fn error(bytes: &[u8]) -> String {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "hostile.bin", bytes);
    let error = match StateDict::read(&path) {
        Err(error) => error,
        Ok(state) => state.find_backbone(None).unwrap_err(),
    };
    assert!(error.to_string().contains("hostile.bin"), "{error}");
    error.to_string()
}

fn of_pickle(pickle: &[u8]) -> [String; 2] {
    let pickle = [b"\x80\x02", pickle, b"."].concat();
    [error(&zip(&pickle, [], Stored)), error(&legacy(&pickle))]
}

#[test]
fn nesting_is_bounded() {
    const DEPTH: usize = 200_000;
    let lists = [vec![b']'; DEPTH], vec![b'a'; DEPTH - 1]].concat();
    let tuples = [vec![b')'], vec![0x85; DEPTH]].concat();
    let dictionaries = [b"}X\x01\x00\x00\x00a".repeat(DEPTH), b"}".to_vec(), vec![b's'; DEPTH]].concat();
    // Calls of what calls another.
    let calls = [b"ctorch._tensor\n_rebuild_from_type_v2\n".repeat(1000), b")".repeat(1000), vec![b'R'; 1000]].concat();
    let marks = vec![b'('; DEPTH];
    for pickle in [lists, tuples, dictionaries, calls, marks] {
        of_pickle(&pickle);
    }
    // In the header of a safetensors file.
    let header = format!("{{\"a\":{}", "[".repeat(DEPTH));
    error(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat());
}

#[test]
fn a_pickle_does_not_unpack_to_more_than_tensors_need() {
    let zeros = vec![b'N'; 80 << 20];
    let bytes = zip(&zeros, [], Deflated);
    assert!(bytes.len() < 1 << 20);
    let said = error(&bytes);
    assert!(said.contains("data.pkl") && said.contains("unpacks to more than"), "{said}");
    // Within that, objects are counted.
    let said = error(&zip(&zeros[..20 << 20], [], Deflated));
    assert!(said.contains("more objects"), "{said}");
    assert!(of_pickle(&vec![b'N'; 9_000_000])[1].contains("more objects"));
    assert!(of_pickle(&b"]".repeat(3_000_000))[0].contains("more objects"));
}

#[test]
fn storages_do_not_unpack_to_more_than_tensors_need() {
    let shapes: Vec<_> = named_tensors(&BackboneName::Conv4.init::<Flex>(1, &Default::default()), "")
        .into_iter()
        .map(|tensor| (tensor.name, tensor.shape))
        .collect();
    // One number of a storage of 100 MB for each tensor.
    let elements = 25 << 20;
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, shape) in &shapes {
        text(&mut pickle, name);
        pickle.extend(tensor("0", elements, 7, shape, &vec![0; shape.len()]));
    }
    pickle.extend(b"u.");
    let zeros = vec![0; 4 * elements as usize];
    let said = error(&zip(&pickle, [("data/0".to_owned(), zeros.clone())], Deflated));
    assert!(said.contains("data/0") && said.contains("what the tensors need"), "{said}");

    // As they are in a file they take no more than that has.
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "weights.pt", &zip(&pickle, [("data/0".to_owned(), zeros)], Stored));
    StateDict::read(&path).unwrap().find_backbone(None).unwrap();
}

/// The library would try each of them: minutes for a file of 20 MB.
#[test]
fn many_false_ends_of_an_archive_are_no_search_without_end() {
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &46u32.to_le_bytes(), &4u32.to_le_bytes(), &[0; 2]].concat();
    let bytes = [&b"PK\x03\x04"[..], &end.repeat(1_000_000)].concat();
    assert!(error(&bytes).contains("no sound directory"));
}

#[test]
fn what_is_referred_to_again_and_again_is_bounded() {
    let of = |pickle: &[u8]| of_pickle(pickle)[0].clone();
    // Many names of one tensor.
    let mut names = b"}(".to_vec();
    names.extend(tensor("0", 1, 0, &[1], &[1]));
    names.extend(b"q\x000");
    for index in 0..300_000u32 {
        names.extend([b"U\x07", &format!("{index:07}").as_bytes()[..7], b"h\x00"].concat());
    }
    names.push(b'u');
    assert!(of(&names).contains("tensors"), "{}", of(&names));

    // A long name before many names.
    let mut long = b"}(".to_vec();
    text(&mut long, &"x".repeat(1 << 20));
    long.extend(b"}(");
    for index in 0..1000u32 {
        text(&mut long, &index.to_string());
        long.extend(tensor("0", 1, 0, &[1], &[1]));
    }
    long.extend(b"uu");
    assert!(of(&long).contains("name"), "{}", of(&long));

    // A large list that many dictionaries are made of, a large tuple that is given to many calls, a large class name.
    let list = [b"](".to_vec(), b"))\x86".repeat(100_000), b"e\x85q\x000".to_vec()].concat();
    let dictionaries = [b"](".to_vec(), b"ccollections\nOrderedDict\nh\x00R".repeat(10_000), b"e".to_vec()].concat();
    assert!(of(&[list, dictionaries].concat()).contains("no end"));
    let tuple = [b"(".to_vec(), b"K\x01".repeat(1_000_000), b"tq\x000".to_vec()].concat();
    of(&[tuple, b"ctorch._utils\n_rebuild_tensor_v2\nh\x00R0".repeat(100)].concat());
    let mut classes = Vec::new();
    text(&mut classes, &"m".repeat(1 << 20));
    classes.extend(b"q\x000");
    classes.extend(b"h\x00h\x00\x930".repeat(200_000));
    of(&classes);

    // A long name of a storage that many tensors share, and one in a dictionary that many others hold.
    let mut storage = b"(".to_vec();
    text(&mut storage, "storage");
    storage.extend(b"ctorch\nFloatStorage\n");
    text(&mut storage, &"s".repeat(1 << 20));
    text(&mut storage, "cpu");
    storage.extend(b"K\x01tq\x000");
    storage.extend(b"h\x00Q0".repeat(200_000));
    storage.push(b'N');
    assert!(of(&storage).contains("storage"));
    let mut inner = b"}".to_vec();
    text(&mut inner, &"x".repeat(1 << 20));
    inner.extend(b"Nsq\x00");
    of(&[inner, b"](".to_vec(), b"h\x00".repeat(200_000), b"e".to_vec()].concat());

    // A dictionary without names, in many others.
    let dictionary = [b"}(".to_vec(), b"K\x01K\x01".repeat(100_000), b"uq\x00".to_vec()].concat();
    let others = [b"](".to_vec(), b"h\x00".repeat(100_000), b"e".to_vec()].concat();
    assert!(of(&[dictionary, others].concat()).contains("no end"));
}

#[test]
fn long_numbers_and_texts_end_where_the_file_does() {
    for code in [&b"\x8b\xff\xff\xff\x7f"[..], b"X\xff\xff\xff\xff", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"I9"] {
        assert!(of_pickle(code)[0].contains("ends in the middle"));
    }
    let long = [&b"\x8b"[..], &(8_000_000u32).to_le_bytes(), &vec![0x7f; 8_000_000]].concat();
    of_pickle(&long);
    of_pickle(&[&b"L"[..], &vec![b'9'; 8_000_000], b"L\n"].concat());
}

#[test]
fn views_stay_within_their_storages() {
    let folder = tempdir().unwrap();
    let read = |elements, offset, shape: &[usize], strides: &[usize]| {
        let pickle =
            [b"\x80\x02}X\x01\x00\x00\x00a", &tensor("0", elements, offset, shape, strides)[..], b"s."].concat();
        let bytes = zip(&pickle, [("data/0".to_owned(), vec![0; 48])], Stored);
        let state = StateDict::read(&file(folder.path(), "hostile.bin", &bytes))?;
        state.tensor("a").map(|tensor| tensor.values.len())
    };
    assert_eq!(read(12, 0, &[3, 4], &[4, 1]).unwrap(), 12);
    assert_eq!(read(12, 2, &[2, 5], &[1, 2]).unwrap(), 10);
    assert_eq!(read(12, 0, &[0, 4], &[4, 1]).unwrap(), 0);
    assert_eq!(read(12, 3, &[], &[]).unwrap(), 1);
    for (elements, offset, shape, strides) in [
        (12, 1, &[3, 4][..], &[4, 1][..]),
        (12, 12, &[1], &[1]),
        (12, 0, &[3, 4], &[5, 1]),
        // More than the archive has.
        (13, 0, &[13], &[1]),
        (1 << 30, 0, &[1 << 30], &[1]),
        // Without an end.
        (12, 0, &[1 << 30, 1 << 30], &[0, 0]),
        (12, 0, &[1 << 30, 1 << 30, 1 << 30], &[1 << 30, 1 << 30, 1]),
        (12, 0, &[i32::MAX as usize], &[0]),
        // Negative.
        (12, 0, &[u32::MAX as usize], &[1]),
        (12, 0, &[3], &[u32::MAX as usize]),
        (12, u32::MAX, &[3], &[1]),
        (u32::MAX, 0, &[3], &[1]),
        (12, 0, &[3], &[]),
        (12, 0, &[1; 65], &[1; 65]),
    ] {
        let error = read(elements, offset, shape, strides).unwrap_err();
        assert!(matches!(error, WeightsError::Damaged { .. }), "{shape:?} {strides:?}: {error}");
        assert!(error.to_string().contains("hostile.bin"), "{error}");
    }
    // Two sizes of one storage.
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, elements) in [("a", 12), ("b", 11)] {
        text(&mut pickle, name);
        pickle.extend(tensor("0", elements, 0, &[1], &[1]));
    }
    pickle.extend(b"u.");
    assert!(error(&zip(&pickle, [("data/0".to_owned(), vec![0; 48])], Stored)).contains("one type and size"));
}

#[test]
fn names_are_of_one_tensor() {
    let shapes = [("a.b".to_owned(), vec![1]), ("a.b".to_owned(), vec![1])];
    assert!(error(&archive(&dict("", &shapes, 1.0))).contains("two tensors `a.b`"));
    let entry = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let header = format!("{{{entry},{entry}}}");
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    assert!(error(&bytes).contains("two tensors `a`"));
}

#[test]
fn headers_with_many_tensors_are_refused_or_read_in_one_pass() {
    let with = |count: usize| {
        let mut header = String::from("{");
        for index in 0..count {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                header,
                r#"{comma}"a{index}.layer1.0.conv1.weight":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#,
                4 * index,
                4 * index + 4
            );
        }
        header.push('}');
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 4 * count]].concat()
    };
    let said = error(&with(300_000));
    assert!(said.contains("more than 200000 tensors"), "{said}");
    let said = error(&with(200_000));
    assert!(said.contains("none of its 200000 tensors"), "{said}");
    // Names that could each be of a network of its own, in one another.
    let nested: Vec<_> =
        (0..300).map(|depth| (format!("{}layer1.0.conv1.weight", "a.".repeat(depth)), vec![1])).collect();
    error(&archive(&dict("", &nested, 1.0)));
}

#[test]
fn sizes_of_a_safetensors_file_are_compared_with_it() {
    let with = |entries: &str, data: usize| {
        let header = format!("{{{entries}}}");
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    for (shape, start, end, data) in [
        ("[2]", 0, 8, 4),
        ("[2]", 0, 8, 9),
        ("[2]", 0, 4, 4),
        ("[2]", 4, 12, 12),
        ("[2]", 8, 0, 8),
        ("[1000000000000]", 0, 8, 8),
        ("[4294967296,4294967296,4294967296]", 0, 8, 8),
        ("[-2]", 0, 8, 8),
        ("[2.5]", 0, 8, 8),
    ] {
        let entry = format!(r#""conv1.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#);
        assert!(error(&with(&entry, data)).contains("not a readable safetensors file"), "{entry}");
    }
    // What a file says of itself is not told at any length.
    let zeros = "0,".repeat(1 << 20);
    let long = "x".repeat(1 << 20);
    for entry in [
        format!(r#""a":{{"dtype":"F32","shape":[{zeros}0],"data_offsets":[0,0]}}"#),
        format!(r#""{long}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#),
        format!(r#""a":{{"dtype":"{long}","shape":[0],"data_offsets":[0,0]}}"#),
    ] {
        let said = error(&with(&entry, 0));
        assert!(said.contains("not a readable") && said.len() < 1000, "{} bytes", said.len());
    }
    let overlapping =
        r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#;
    assert!(error(&with(overlapping, 12)).contains("not a readable"));
    let mut bytes = with("", 0);
    for length in [9u64, 100_000_001, 1 << 40, u64::MAX] {
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(error(&bytes).contains("header"), "{length}");
    }
}

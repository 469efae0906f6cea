//! Instructions of every protocol, and pickles that ask for much.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    Pickle::read(bytes, 1000)
}

fn root(bytes: &[u8]) -> Result<Value, PickleError> {
    read(bytes).map(|pickle| pickle.root())
}

#[test]
fn numbers_of_every_kind() {
    let numbers: [(&[u8], i64); 12] = [
        (b"K\xff.", 255),
        (b"M\x00\x01.", 256),
        (b"J\xff\xff\xff\xff.", -1),
        (b"I42\n.", 42),
        (b"L-7L\n.", -7),
        (b"L7\n.", 7),
        (b"\x8a\x00.", 0),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x02\xff\x00.", 255),
        (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", i64::MIN),
        (b"\x8b\x01\x00\x00\x00\x05.", 5),
        (b"I-9223372036854775808\n.", i64::MIN),
    ];
    for (bytes, number) in numbers {
        assert_eq!(root(bytes), Ok(Value::Int(number)), "{bytes:?}");
    }
    for bytes in [&b"\x8a\x09123456789."[..], b"L9223372036854775808L\n.", b"I-9223372036854775809\n."] {
        assert_eq!(root(bytes), Ok(Value::LargeInt), "{bytes:?}");
    }
    for (bytes, truth) in [(&b"\x88."[..], true), (b"\x89.", false), (b"I01\n.", true), (b"I00\n.", false)] {
        assert_eq!(root(bytes), Ok(Value::Bool(truth)), "{bytes:?}");
    }
    for (bytes, number) in
        [(&b"G\xbf\xf8\x00\x00\x00\x00\x00\x00."[..], -1.5), (b"F-1.5\n.", -1.5), (b"F1e+100\n.", 1e100)]
    {
        assert_eq!(root(bytes), Ok(Value::Float(number)), "{bytes:?}");
    }
    for bytes in [&b"I\n."[..], b"I1L\n.", b"L-L\n.", b"I1 \n.", b"F1,5\n.", b"L\xff\n."] {
        assert!(matches!(root(bytes), Err(PickleError::Inconsistent { offset: 0, .. })), "{bytes:?}");
    }
}

#[test]
fn text_and_bytes_of_every_kind() {
    for (bytes, expected) in [
        (&b"U\x03a\xffb."[..], &b"a\xffb"[..]),
        (b"T\x01\x00\x00\x00a.", b"a"),
        (b"X\x02\x00\x00\x00\xc3\xa9.", "é".as_bytes()),
        (b"\x8c\x01a.", b"a"),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", b"a"),
        (b"S'a'\n.", b"a"),
        (b"S'\\xff'\n.", b"\xff"),
        (b"Va\n.", b"a"),
        (b"V\xe9\n.", "é".as_bytes()),
        (b"V\n.", b""),
    ] {
        let pickle = read(bytes).unwrap();
        let Value::Text(span) = pickle.root() else { panic!("{bytes:?}") };
        assert_eq!(pickle.bytes(pickle.root()), Some(expected), "{bytes:?}");
        assert_eq!(pickle.text(pickle.root()), std::str::from_utf8(expected).ok(), "{bytes:?}");
        assert_eq!((span.len(), span.is_empty()), (expected.len(), expected.is_empty()));
    }
    for bytes in [&b"C\x01a."[..], b"B\x01\x00\x00\x00a.", b"\x8e\x01\0\0\0\0\0\0\0a.", b"\x96\x01\0\0\0\0\0\0\0a."] {
        let pickle = read(bytes).unwrap();
        assert!(matches!(pickle.root(), Value::Bytes(_)), "{bytes:?}");
        assert_eq!((pickle.bytes(pickle.root()), pickle.text(pickle.root())), (Some(&b"a"[..]), None));
    }
}

#[test]
fn dictionaries_by_every_protocol() {
    for bytes in [
        &b"(dp0\nS'a'\np1\n(lp2\nI1\naI2\nas."[..],
        b"\x80\x02}q\x00U\x01aq\x01]q\x02(K\x01K\x02es.",
        b"\x80\x04\x95\x11\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94]\x94(K\x01K\x02es.",
        b"(U\x01a(K\x01K\x02ld.",
        // Of two equal keys the last one holds.
        b"}(U\x01aNU\x01a](K\x01K\x02eu.",
    ] {
        let pickle = read(bytes).unwrap();
        let list = pickle.entry(pickle.root(), "a").unwrap();
        assert!(matches!(list, Value::List(_)), "{bytes:?}");
        assert_eq!(pickle.items(list), Some(&[Value::Int(1), Value::Int(2)][..]), "{bytes:?}");
        assert_eq!(pickle.entry(pickle.root(), "b"), None);
        assert_eq!(pickle.entry(list, "a"), None);
    }
}

#[test]
fn calls_are_recorded_and_not_made() {
    // posix.system("rm"), by every instruction that calls.
    for (bytes, arguments) in [
        (&b"cposix\nsystem\n(S'rm'\ntR."[..], 1),
        (b"(S'rm'\niposix\nsystem\n.", 1),
        (b"(cposix\nsystem\nS'rm'\no.", 1),
        (b"\x8c\x05posix\x8c\x06system\x93\x8c\x02rm\x85\x81.", 1),
        (b"cposix\nsystem\n\x8c\x02rm\x85}\x92.", 2),
    ] {
        let pickle = read(bytes).unwrap();
        let object = pickle.object(pickle.root()).unwrap();
        assert_eq!(pickle.global(object.function), Some((&b"posix"[..], &b"system"[..])), "{bytes:?}");
        assert_eq!(pickle.items(object.arguments).map(<[Value]>::len), Some(arguments), "{bytes:?}");
        assert_eq!(pickle.objects(), std::slice::from_ref(object));
        assert!(matches!(bytes[object.offset], b'R' | b'i' | b'o' | 0x81 | 0x92), "{bytes:?}");
    }
    let pickle = read(b"ca\nb\n)R(K\x01K\x02eK\x03a(K\x04\x90K\x05K\x06s(K\x07K\x08uK\x09b.").unwrap();
    let object = pickle.object(pickle.root()).unwrap();
    assert_eq!(object.items, [1, 2, 3, 4].map(Value::Int));
    assert_eq!(object.entries, [(5, 6), (7, 8)].map(|(key, value)| (Value::Int(key), Value::Int(value))));
    assert_eq!(object.state, Some(Value::Int(9)));
    let pickle = read(b"Pname\nK\x01Q\x86.").unwrap();
    assert!(matches!(pickle.items(pickle.root()), Some([Value::Persistent(_), Value::Persistent(_)])));
    assert_eq!(pickle.text(pickle.persistent()[0].id), Some("name"));
    assert_eq!(pickle.persistent()[1], Persistent { id: Value::Int(1), offset: 8 });
}

#[test]
fn what_does_not_fit_is_an_error_that_says_where() {
    use PickleError::*;
    let inconsistent = |expected, offset| Inconsistent { expected, offset };
    for (bytes, error) in [
        (&b""[..], Cut { offset: 0 }),
        (b"K\x01", Cut { offset: 2 }),
        (b"NM\x01", Cut { offset: 1 }),
        (b"Va", Cut { offset: 0 }),
        (b"T\xff\xff\xff\xffabc", Cut { offset: 0 }),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", Cut { offset: 0 }),
        (b"N\xff.", Instruction { code: 0xff, offset: 1 }),
        // The extension registry and buffers outside of the file.
        (b"\x82\x01.", Instruction { code: 0x82, offset: 0 }),
        (b"N\x97.", OutsideBuffer { offset: 1 }),
        (b"\x98.", OutsideBuffer { offset: 0 }),
        (b"\x80\x06N.", Protocol { protocol: 6, offset: 0 }),
        (b".", inconsistent("a value on the stack", 0)),
        (b"N(.", inconsistent("a value on the stack", 2)),
        (b"N(\x85.", inconsistent("more values on the stack", 2)),
        (b"Nt.", inconsistent("a mark", 1)),
        (b"](Nu.", inconsistent("a value for each key", 3)),
        (b"(Nd.", inconsistent("a value for each key", 2)),
        (b"}Na.", inconsistent("a list", 2)),
        (b"](N\x90.", inconsistent("a set", 3)),
        (b"]NNs.", inconsistent("a dictionary", 3)),
        (b"]Nb.", inconsistent("an object of a class", 2)),
        (b"h\x00.", inconsistent("a value in the memo", 0)),
        (b"NN\x93.", inconsistent("the text of a module and a name", 2)),
        (b"(o.", inconsistent("a class", 1)),
        (b"S'\n.", inconsistent("text in quotes", 0)),
        (b"gx\n.", inconsistent("a number in the memo", 0)),
    ] {
        assert_eq!(root(bytes), Err(error), "{bytes:?}");
    }
    assert_eq!(root(b"K\x01(0."), Ok(Value::Int(1)));
    assert_eq!(root(b"K\x01(KKNN1."), Ok(Value::Int(1)));
    assert_eq!(read(b"K\x012.K\x02.").unwrap().length(), 4);
}

/// Reads, and returns what took memory and how many values it may have taken.
fn held(bytes: &[u8], limit: usize) -> (usize, usize, Step) {
    let mut machine = Machine::new(bytes, limit);
    let done = machine.run_to_stop();
    let made = &machine.made;
    let values = machine.stack.capacity();
    let values = values + made.sequences.iter().map(Vec::capacity).sum::<usize>();
    let values = values + made.objects.iter().map(|object| object.items.capacity()).sum::<usize>();
    let pairs = made.dicts.iter().map(Vec::capacity).sum::<usize>();
    let pairs = pairs + made.objects.iter().map(|object| object.entries.capacity()).sum::<usize>();
    let size = values * size_of::<Value>()
        + pairs * size_of::<(Value, Value)>()
        + made.sequences.capacity() * size_of::<Vec<Value>>()
        + made.dicts.capacity() * size_of::<Vec<(Value, Value)>>()
        + made.objects.capacity() * size_of::<Object>()
        + made.persistent.capacity() * size_of::<Persistent>()
        + made.globals.capacity() * size_of::<(Span, Span)>()
        + machine.marks.capacity() * size_of::<usize>()
        // A table of which at most seven eighths are full, and a byte for each place.
        + machine.memo.capacity() * 8 / 7 * (size_of::<(u64, Value)>() + 1);
    (size, machine.memory.taken(), done)
}

/// A value counts as 16 bytes and takes at most 64: vectors have room for four values at first, and double.
#[track_caller]
fn assert_bounded(bytes: &[u8], limit: usize) -> Step {
    const AT_FIRST: usize = 4096;
    let (size, taken, done) = held(bytes, limit);
    assert!(taken <= limit);
    assert!(size <= 64 * taken + AT_FIRST, "{size} bytes for {taken} values");
    assert!(size <= 320 * bytes.len() + AT_FIRST, "{size} bytes for {} bytes", bytes.len());
    done
}

#[test]
fn what_asks_for_much_gets_little() {
    const LIMIT: usize = 600_000;
    let nested = |levels: usize| [&vec![b']'; levels][..], &vec![b'a'; levels - 1], b"."].concat();
    assert_eq!(assert_bounded(&nested(200_000), LIMIT), Ok(()));
    let too_large = assert_bounded(&nested(200_001), LIMIT).unwrap_err();
    assert_eq!(too_large.to_string(), "it makes more than 600000 values at offset 200000");
    // Each list holds the one before twice: two to the power of sixty values, if they were copied.
    let mut doubled = b"]q\x00".to_vec();
    for level in 1..=60 {
        doubled.extend([b']', b'(', b'h', level - 1, b'h', level - 1, b'e', b'q', level]);
    }
    doubled.push(b'.');
    assert_eq!(assert_bounded(&doubled, 1000), Ok(()));
    // A list that holds itself.
    assert_eq!(assert_bounded(b"]q\x00h\x00a.", 10), Ok(()));
    // Each instruction that makes something, again and again, and after a stack that was high.
    for again in [
        &b"("[..],
        b"N",
        b"h\x00",
        b"2",
        b")",
        b"]",
        b"}",
        b"\x8f",
        b"\x94",
        b"N\x85",
        b"(t",
        b"(l",
        b"(d",
        b"(\x91",
        b"]Na",
        b"}NNs",
        b"\x8f(N\x90",
        b"NN\x81",
        b"NNR",
        b"NNR(NNe(NNu",
        b"(No",
        b"(ia\nb\n",
        b"ca\nb\n",
        b"P\n",
        b"NQ",
        b"V\xe9\n",
        b"S'\\n'\n",
    ] {
        let repeated = [&b"N\x94"[..], &again.repeat(10_000), b"."].concat();
        let _ = assert_bounded(&repeated, usize::MAX);
        let _ = assert_bounded(&repeated, 1000);
        let high = [&b"N\x94("[..], &b"N".repeat(10_000), b"1", &again.repeat(10_000), b"."].concat();
        let _ = assert_bounded(&high, usize::MAX);
    }
}

/// Instructions as bytes that often fit each other.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    const PLAIN: &[u8] = b".(0012NNNN]]}})ltdaesuRbQo\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94";
    prop_oneof![
        6 => prop::sample::select(PLAIN).prop_map(|code| vec![code]),
        2 => (prop::sample::select(&b"KUChq\x8a\x8c"[..]), 0..4u8).prop_map(|(code, number)| vec![code, number, b'a', b'b']),
        1 => prop::sample::select(vec![
            &b"ca\nb\n"[..], b"ia\nb\n", b"Pa\n", b"S'\\x41'\n", b"V\\u00e9\n", b"I01\n", b"L5L\n", b"F0.5\n", b"p1\n", b"g1\n",
            b"X\x01\0\0\0a", b"B\x01\0\0\0a", b"\x8d\x01\0\0\0\0\0\0\0a", b"J\0\0\0\0", b"r\x01\0\0\0", b"j\x01\0\0\0",
        ])
        .prop_map(<[u8]>::to_vec),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

/// Follows every value that a pickle holds, each once.
fn walk(pickle: &Pickle) {
    let mut seen = std::collections::HashSet::new();
    let mut left = vec![pickle.root()];
    while let Some(value) = left.pop() {
        if !seen.insert(format!("{value:?}")) {
            continue;
        }
        let _ = (pickle.text(value), pickle.bytes(value), pickle.global(value), pickle.entry(value, "a"));
        left.extend(pickle.items(value).unwrap_or_default());
        left.extend(pickle.entries(value).unwrap_or_default().iter().flat_map(|(key, value)| [*key, *value]));
        if let Some(object) = pickle.object(value) {
            left.extend([object.function, object.arguments]);
            left.extend(object.state);
            left.extend(&object.items);
            left.extend(object.entries.iter().flat_map(|(key, value)| [*key, *value]));
        }
        if let Value::Persistent(index) = value {
            left.push(pickle.persistent()[index.get()].id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0..300usize) {
        let _ = assert_bounded(&bytes, limit);
        if let Ok(pickle) = Pickle::read(&bytes, limit) {
            walk(&pickle);
        }
    }

    #[test]
    fn any_instructions_are_a_value_or_an_error(
        instructions in prop::collection::vec(instruction(), 0..100),
        limit in 0..1000usize,
    ) {
        let bytes = instructions.concat();
        let _ = assert_bounded(&bytes, limit);
        if let Ok(pickle) = Pickle::read(&bytes, limit) {
            prop_assert!(pickle.length() <= bytes.len());
            walk(&pickle);
            // A pickle ends with its last instruction: what follows does not matter, and less is not enough.
            let whole = &bytes[..pickle.length()];
            prop_assert_eq!(format!("{:?}", Pickle::read(whole, limit).map(|pickle| pickle.length())), format!("{:?}", Ok::<_, PickleError>(whole.len())));
            prop_assert!(matches!(Pickle::read(&whole[..whole.len() - 1], limit), Err(PickleError::Cut { .. })), "{:?}", whole);
        }
    }

    /// Python's own instructions for any integer and any text come back.
    #[test]
    fn numbers_and_text_come_back(number in any::<i64>(), text in any::<String>()) {
        let long = [&[0x8a, 8][..], &number.to_le_bytes(), b"."].concat();
        prop_assert_eq!(root(&long), Ok(Value::Int(number)));
        prop_assert_eq!(root(format!("L{number}L\n.").as_bytes()), Ok(Value::Int(number)));
        let raw: String = text.chars().map(|character| format!("\\U{:08x}", character as u32)).collect();
        for bytes in [
            [&[b'X'][..], &(text.len() as u32).to_le_bytes(), text.as_bytes(), b"."].concat(),
            format!("V{raw}\n.").into_bytes(),
        ] {
            let pickle = read(&bytes).unwrap();
            prop_assert_eq!(pickle.text(pickle.root()), Some(&text[..]));
        }
    }
}

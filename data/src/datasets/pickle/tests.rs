//! Values of every protocol, and pickles that ask for much.

use super::*;

fn top(bytes: &[u8]) -> Result<Value, String> {
    Values::read(bytes, 1000).map(|values| values.top().clone())
}

#[test]
fn numbers_of_every_kind() {
    let numbers: [(&[u8], i64); 9] = [
        (b"K\xff.", 255),
        (b"M\x00\x01.", 256),
        (b"J\xff\xff\xff\xff.", -1),
        (b"I42\n.", 42),
        (b"L-7L\n.", -7),
        (b"\x8a\x00.", 0),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x02\xff\x00.", 255),
        (b"\x8b\x01\x00\x00\x00\x05.", 5),
    ];
    for (bytes, number) in numbers {
        assert_eq!(top(bytes), Ok(Value::Int(number)), "{bytes:?}");
    }
    assert_eq!(
        (top(b"\x88."), top(b"I01\n."), top(b"I00\n.")),
        (Ok(Value::Bool(true)), Ok(Value::Bool(true)), Ok(Value::Bool(false)))
    );
    assert_eq!(top(b"\x8a\x09123456789."), Ok(Value::Other));
}

#[test]
fn dictionaries_by_every_protocol() {
    for bytes in [
        &b"(dp0\nS'a'\np1\n(lp2\nI1\naI2\nas."[..],
        b"\x80\x02}q\x00U\x01aq\x01]q\x02(K\x01K\x02es.",
        b"\x80\x04\x95\x11\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94]\x94(K\x01K\x02es.",
        b"(U\x01a(K\x01K\x02ld.",
    ] {
        let values = Values::read(bytes, 100).unwrap();
        let Value::Dict(entries) = values.top() else { panic!("{bytes:?}") };
        let Some(Value::List(list)) = values.entry(entries, "a") else { panic!("{bytes:?}") };
        let list: Vec<&Value> = list.iter().map(|place| values.get(*place)).collect();
        assert_eq!(list, [&Value::Int(1), &Value::Int(2)]);
        assert_eq!(values.entry(entries, "b"), None);
    }
}

#[test]
fn what_asks_for_much_gets_little() {
    let nested = |levels: usize| [&vec![b']'; levels][..], &vec![b'a'; levels - 1], b"."].concat();
    assert!(Values::read(&nested(200_000), 200_000).is_ok());
    assert_eq!(Values::read(&nested(200_001), 200_000).unwrap_err(), "more than 200000 values at offset 200000");
    // Each list holds the one before twice: two to the power of sixty values, if they were copied.
    let mut doubled = b"]q\x00".to_vec();
    for level in 1..=60 {
        doubled.extend([b']', b'(', b'h', level - 1, b'h', level - 1, b'e', b'q', level]);
    }
    doubled.push(b'.');
    assert_eq!(Values::read(&doubled, 100).unwrap().table.len(), 61);
    // A list that holds itself, marks and recalled values without end.
    assert!(Values::read(b"]q\x00h\x00a.", 10).is_ok());
    assert!(Values::read(&[b'('; 100], 10).unwrap_err().starts_with("more than 10 marks"));
    let recalled = [&b"]q\x00"[..], &b"h\x00".repeat(100)].concat();
    assert!(Values::read(&recalled, 10).unwrap_err().starts_with("more than 10 values"));
    assert!(Values::read(b"T\xff\xff\xff\xffabc", 10).unwrap_err().starts_with("unexpected EOF"));
    assert!(Values::read(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", 10).unwrap_err().starts_with("unexpected EOF"));
}

#[test]
fn any_bytes_are_a_value_or_an_error() {
    let mut state = 1u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let code = b".(01NIJKMLSTUVX]}){ltdaesugphjqrcRb\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94\x95\n";
        if state >> 31 == 0 { code[(state >> 8) as usize % code.len()] } else { (state >> 16) as u8 % 4 }
    };
    for length in 0..20_000 {
        let bytes: Vec<u8> = (0..length % 40).map(|_| byte()).collect();
        let _ = Values::read(&bytes, 100);
    }
}

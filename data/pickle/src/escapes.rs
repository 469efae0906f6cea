//! Text that protocol 0 writes in a line, with escapes.

/// Decodes the `repr` of Python 2's `str`: quotes around bytes in which `\` begins an escape.
pub(crate) fn quoted(line: &[u8], decoded: &mut Vec<u8>) -> Result<(), &'static str> {
    let quoted = match line {
        [b'\'', quoted @ .., b'\''] | [b'"', quoted @ .., b'"'] => quoted,
        _ => return Err("text in quotes"),
    };
    let mut rest = quoted;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            decoded.push(*first);
            continue;
        }
        let [code, after @ ..] = rest else { return Err("an escape after a backslash") };
        rest = after;
        let byte = match code {
            b'\\' | b'\'' | b'"' => *code,
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'x' => hexadecimal(&mut rest, 2).ok_or("two hexadecimal digits after \\x")? as u8,
            b'0'..=b'7' => octal(*code, &mut rest),
            _ => {
                decoded.push(b'\\');
                *code
            }
        };
        decoded.push(byte);
    }
    Ok(())
}

/// Decodes `raw-unicode-escape` to UTF-8: Latin-1 in which `\u` and `\U` begin the number of a character.
pub(crate) fn raw_unicode(line: &[u8], decoded: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut utf8 = [0; 4];
    let mut rest = line;
    while let [first, after @ ..] = rest {
        rest = after;
        let width = match (first, rest) {
            (b'\\', [b'u', ..]) => 4,
            (b'\\', [b'U', ..]) => 8,
            _ => {
                decoded.extend(char::from(*first).encode_utf8(&mut utf8).bytes());
                // Of two backslashes neither begins an escape.
                if let (b'\\', [b'\\', after @ ..]) = (first, rest) {
                    decoded.push(b'\\');
                    rest = after;
                }
                continue;
            }
        };
        rest = &rest[1..];
        let number = hexadecimal(&mut rest, width).ok_or("four or eight hexadecimal digits after \\u or \\U")?;
        match char::from_u32(number) {
            Some(character) => decoded.extend(character.encode_utf8(&mut utf8).bytes()),
            // Half of a surrogate pair, as Python has it in UTF-8 that Rust does not accept.
            None if number < 0x1_0000 => {
                decoded.extend([
                    0xe0 | (number >> 12) as u8,
                    0x80 | (number >> 6 & 0x3f) as u8,
                    0x80 | (number & 0x3f) as u8,
                ]);
            }
            None => return Err("the number of a character after \\u or \\U"),
        }
    }
    Ok(())
}

fn hexadecimal(rest: &mut &[u8], digits: usize) -> Option<u32> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    number.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// Up to three digits, of which the first is known; of more than eight bits the lower ones hold, as in Python.
fn octal(first: u8, rest: &mut &[u8]) -> u8 {
    let mut number = u32::from(first - b'0');
    for _ in 0..2 {
        let [digit @ b'0'..=b'7', after @ ..] = rest else { break };
        number = number << 3 | u32::from(digit - b'0');
        *rest = after;
    }
    number as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str>, line: &[u8]) -> Option<Vec<u8>> {
        let mut decoded = Vec::new();
        decode(line, &mut decoded).is_ok().then_some(decoded)
    }

    #[test]
    fn quoted_text_has_the_escapes_of_python_2() {
        for (line, expected) in [
            (&br"'a\n\t\\\'\x00\xff\101\0z'"[..], Some(&b"a\n\t\\'\x00\xffA\x00z"[..])),
            (br#""it's""#, Some(b"it's")),
            (br"'\q'", Some(br"\q")),
            (b"''", Some(b"")),
            (b"'", None),
            (b"'a\"", None),
            (b"a", None),
            (br"'\'", None),
            (br"'\x1'", None),
        ] {
            assert_eq!(decoded(quoted, line).as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn raw_unicode_is_latin_1_and_numbers() {
        for (line, expected) in [
            (&b"caf\xe9"[..], Some("café")),
            (br"\u20ac\U0001f600", Some("€😀")),
            (br"a\u005cb\u000ac", Some("a\\b\nc")),
            (br"\x41\\u0041", Some(r"\x41\\u0041")),
            (br"\", Some(r"\")),
            (br"\u12", None),
            (br"\U00110000", None),
        ] {
            assert_eq!(decoded(raw_unicode, line), expected.map(|text| text.as_bytes().to_vec()), "{line:?}");
        }
        assert_eq!(decoded(raw_unicode, br"\ud800").as_deref(), Some(&b"\xed\xa0\x80"[..]));
    }
}

#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

use std::ffi::OsStr;

/// The name of a file, a folder or a class as it appears in a message.
///
/// Control characters, marks that change the direction of text, separators of lines, and characters without width are escaped as
/// [`char::escape_debug`] escapes them: a name takes one line, sends nothing to the terminal, and looks like what it is. Everything
/// else stays, also quotes and backslashes. Bytes that are not UTF-8 become `�`. Applied twice, the result is the same.
pub fn printable(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref().to_string_lossy();
    let mut shown = String::with_capacity(name.len());
    for letter in name.chars() {
        if is_unseen(letter) {
            shown.extend(letter.escape_debug());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Whether a character acts on the text around it or is not visible. The joiners U+200C and U+200D belong to the spelling of words
/// and stay.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180b}'..='\u{180d}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_acts_on_the_terminal_is_escaped() {
        for (name, shown) in [
            ("two\nlines\r", r"two\nlines\r"),
            ("tab\tnull\0bell\x07", r"tab\tnull\0bell\u{7}"),
            ("\x1b[31mred\x7f\u{9b}2J", r"\u{1b}[31mred\u{7f}\u{9b}2J"),
            ("cat\u{202e}gpj.exe", r"cat\u{202e}gpj.exe"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}", r"\u{2066}a\u{2069}\u{200f}\u{61c}"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("a\u{200b}\u{feff}\u{ad}\u{e0041}", r"a\u{200b}\u{feff}\u{ad}\u{e0041}"),
        ] {
            assert_eq!(printable(name), shown);
            assert_eq!(printable(shown), shown, "twice");
        }
        assert_eq!(printable(Path::new("a/b\n")), r"a/b\n");
    }

    #[test]
    fn names_of_every_script_stay() {
        for name in [
            "plain name.png",
            r#"quotes ' " and C:\images"#,
            "Äpfel, e\u{301}te\u{301} (decomposed), ñ",
            "四つ葉　クローバー",
            "หมา/हिन्दी/עברית/العربية",
            "می\u{200c}خواهم",
            "👩\u{200d}🔬 ❤\u{fe0f}",
        ] {
            assert_eq!(printable(name), name);
        }
    }

    /// No control character of any block is left, and no printable ASCII is changed.
    #[test]
    fn all_characters_are_sorted() {
        for letter in (0..=0x10_ffff).filter_map(char::from_u32) {
            let shown = printable(letter.to_string());
            assert!(!shown.chars().any(char::is_control), "{letter:?}");
            // Four letters of Hangul fill a place and are not visible.
            let is_filler = matches!(letter, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
            assert!(!letter.is_alphanumeric() || is_filler || shown.chars().eq([letter]), "{letter:?}");
        }
        assert!((' '..='~').all(|letter| printable(letter.to_string()).chars().eq([letter])));
    }
}

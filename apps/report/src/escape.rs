//! Text in HTML and SVG.

/// Escapes the characters that have a meaning in HTML, in text and in attributes, and replaces control characters.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(letter),
            // These change the order of the letters around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Returns JSON that may stand in a `script` element: without `<`, which could end it.
pub(crate) fn json_in_html(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Returns a text of at most `most` letters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_an_element_or_an_attribute() {
        assert_eq!(
            escape("<script>\"a\" & 'b'</script>\u{7}\u{202e}"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;\u{fffd}\u{fffd}"
        );
        let json = json_in_html(&serde_json::json!(["</script><!--"]));
        assert!(!json.contains('<') && serde_json::from_str::<Vec<String>>(&json).unwrap()[0] == "</script><!--");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!((shortened("äbcdef", 6), shortened("äbcdefg", 6)), ("äbcdef".into(), "äbcde…".into()));
    }
}

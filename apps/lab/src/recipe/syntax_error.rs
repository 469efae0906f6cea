//! Messages for recipes that cannot be parsed.

use qare_data::printable;

use crate::nearest_name::{advice, nearest};

/// Most characters that a message quotes of a recipe.
const LONGEST: usize = 160;

/// Returns the message for an error in a recipe: the line, if `text` is given, and the problem in the words of a recipe instead of those
/// of its types.
pub fn describe(error: &toml::de::Error, text: Option<&str>) -> String {
    if let Some(name) = error.message().strip_prefix("duplicate field ") {
        // The parser names the line of another setting.
        return format!("{} is given twice, perhaps under another of its names", shortened(name));
    }
    let problem = problem(error.message());
    let Some((text, span)) = text.zip(error.span()) else {
        return match key(error) {
            Some(key) => format!("{key}: {problem}"),
            None => problem,
        };
    };
    let start = text.floor_char_boundary(span.start);
    let number = text[..start].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let quoted = if line.is_empty() { String::new() } else { format!(", `{}`", shortened(line)) };
    format!("line {number}{quoted}: {problem}")
}

/// Returns the key that an error without a span names in its last line.
fn key(error: &toml::de::Error) -> Option<String> {
    let shown = error.to_string();
    let last = shown.trim_end().lines().next_back()?;
    Some(last.strip_prefix("in `")?.strip_suffix('`')?.to_string())
}

/// Rewords a message of the parser.
fn problem(message: &str) -> String {
    if let Some((name, known)) = unknown(message, "unknown field ") {
        // There are many settings.
        let suggestion = nearest(name, &known).map(|nearest| format!("; did you mean `{nearest}`?"));
        let listed = || format!("; known are {}", known.join(", "));
        return format!("unknown setting `{}`{}", shortened(name), suggestion.unwrap_or_else(listed));
    }
    if let Some((name, known)) = unknown(message, "unknown variant ") {
        return format!("unknown value `{}`{}", shortened(name), advice(name, &known));
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected ")) {
            return format!("expected {}, found {}", in_words(expected), shortened(&found_in_words(found)));
        }
    }
    match message {
        "wanted string or table" => "expected a name in quotes".to_string(),
        "u64 value was too large" => format!("the number is too large: at most {}", i64::MAX),
        other => other.lines().map(|line| cut(line, 1000)).collect::<Vec<_>>().join("; "),
    }
}

/// Returns the unknown name and the known ones of a message.
fn unknown<'a>(message: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (name, known) = message.strip_prefix(start)?.rsplit_once(", expected ")?;
    Some((name.trim_matches('`'), known.split('`').skip(1).step_by(2).collect()))
}

/// Returns what a type of a setting is in a recipe.
fn in_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number that is not negative",
        "f64" | "f32" => "a number",
        "path string" => "a path in quotes",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        other if other.starts_with("struct ") => "a table of settings",
        other => other,
    }
}

/// Returns what was found instead.
fn found_in_words(found: &str) -> String {
    let words = [
        ("string ", "the text "),
        ("integer ", ""),
        ("floating point ", ""),
        ("boolean ", ""),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let reworded = words.iter().find_map(|(name, word)| Some(format!("{word}{}", found.strip_prefix(name)?)));
    reworded.unwrap_or_else(|| found.to_string()).replace(" as i128", "")
}

/// Returns a part of a recipe in the form and length that fit a message.
pub fn shortened(text: &str) -> String {
    cut(text, LONGEST)
}

fn cut(text: &str, length: usize) -> String {
    let shown = printable(text.chars().take(length).collect::<String>());
    if text.chars().nth(length).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;

    #[test]
    fn errors_name_the_line_and_speak_of_settings() {
        for (text, expected) in [
            ("seed = 1\nepoch = 3", "line 2, `epoch = 3`: unknown setting `epoch`; did you mean `epochs`?"),
            ("[knn]\nx = 3", "line 2, `x = 3`: unknown setting `x`; known are neighbours, temperature, held_out, bank"),
            (
                "dataset = \"cifar\"",
                "line 1, `dataset = \"cifar\"`: unknown value `cifar`; did you mean `cifar10`? known are cifar10, cifar100, supercifar100, tiny, stl10, slim, omniglot, cub200, cars196, sop, market1501, cuhk03, folder, shapes",
            ),
            (
                "\nepochs = \"ten\"",
                "line 2, `epochs = \"ten\"`: expected a whole number that is not negative, found the text \"ten\"",
            ),
            ("epochs = -1", "line 1, `epochs = -1`: expected a whole number that is not negative, found `-1`"),
            ("epochs = 1.5", "line 1, `epochs = 1.5`: expected a whole number that is not negative, found `1.5`"),
            ("alpha = true", "line 1, `alpha = true`: expected a number, found `true`"),
            ("data_dir = 3", "line 1, `data_dir = 3`: expected a path in quotes, found `3`"),
            ("skip_broken = 1", "line 1, `skip_broken = 1`: expected true or false, found `1`"),
            ("probe = 1", "line 1, `probe = 1`: expected a table of settings, found `1`"),
            ("[[probe]]\nepochs = 1", "line 1, `[[probe]]`: expected a table of settings, found a list"),
            ("\nknn = [7]", "line 2, `knn = [7]`: expected a table of settings, found a list"),
            ("k = 3", "line 1, `k = 3`: unknown setting `k`; did you mean `K`?"),
            ("dataset = 3", "line 1, `dataset = 3`: expected a name in quotes"),
            ("similarity_floor = true", "line 1, `similarity_floor = true`: expected 1e-8 or \"none\""),
            ("batch_size = 3\ndata_size = 4", "`batch_size` is given twice, perhaps under another of its names"),
            ("gpus = 1", "line 1, `gpus = 1`: expected a list in brackets, found `1`"),
        ] {
            assert_eq!(Recipe::parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn errors_without_a_text_name_the_setting() {
        let of = |text: &str| Recipe::of_layers([text.parse().unwrap()]).unwrap_err();
        assert_eq!(
            of("epochs = \"ten\""),
            "epochs: expected a whole number that is not negative, found the text \"ten\""
        );
        assert_eq!(
            of("[probe]\nepochs = 1.5"),
            "probe.epochs: expected a whole number that is not negative, found `1.5`"
        );
    }

    #[test]
    fn messages_are_short_whatever_the_file_holds() {
        for text in [
            "x".repeat(5_000_000),
            format!("{} = 1", "y".repeat(5_000_000)),
            format!("epochs = \"{}\"", "z".repeat(5_000_000)),
            format!("dataset = \"{}\"", "a\\u001B".repeat(5_000)),
            format!("method = \"{}/\"", "a".repeat(5_000_000)),
            "a = 1\n".repeat(500_000),
            "[".repeat(100_000),
        ] {
            let message = Recipe::parse(&text).unwrap_err();
            assert!(message.len() < 2000 && message.starts_with("line "), "{}", &message[..200.min(message.len())]);
            assert!(!message.contains(char::is_control), "{message}");
        }
    }
}

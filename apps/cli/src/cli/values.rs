//! Parsers of the values of flags.

/// Lets an argument with a value be negative, and say what is expected if it is to be a number and is none.
pub(super) fn with_numbers(argument: clap::Arg) -> clap::Arg {
    use clap::builder::ValueParser;
    let parsed = argument.get_value_parser().type_id();
    let is = |parser: ValueParser| parsed == parser.type_id();
    let argument = match argument.get_action() {
        clap::ArgAction::Set | clap::ArgAction::Append if !argument.is_positional() => {
            argument.allow_negative_numbers(true)
        }
        _ => argument,
    };
    if is(ValueParser::from(whole_number::<usize>)) {
        argument.value_parser(whole_number::<usize>)
    } else if is(ValueParser::from(whole_number::<u64>)) && argument.get_id() != "max_pixels" {
        argument.value_parser(whole_number::<u64>)
    } else if is(ValueParser::from(number)) {
        argument.value_parser(number)
    } else {
        argument
    }
}

fn whole_number<T: std::str::FromStr>(text: &str) -> std::result::Result<T, String> {
    // Recipes hold numbers up to 2⁶³ − 1.
    let small = text.parse::<i64>().ok().filter(|number| *number >= 0);
    match small.and_then(|_| text.parse().ok()) {
        Some(number) => Ok(number),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("too large: at most {}", i64::MAX))
        }
        None => Err("expected a whole number that is not negative".to_string()),
    }
}

fn number(text: &str) -> std::result::Result<f64, String> {
    text.parse().map_err(|_| "expected a number".to_string())
}

/// Parses `true` or `false` in any case, so that Python's `True` is accepted.
pub(super) fn parse_bool(text: &str) -> std::result::Result<bool, String> {
    text.to_lowercase().parse().map_err(|_| "expected true or false".to_string())
}

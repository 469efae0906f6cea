//! Totals of a run: named numbers in sections, and their file.

use std::collections::BTreeMap;

/// Totals of a run. The file is JSON with one number per line.
///
/// - `counts`: events by kind, bytes and microseconds of compilation
/// - `kernels`: launches by kernel
/// - `upload_sizes`, `read_sizes`: copies by number of bytes
/// - `failures`: calls that were refused and kernels that do not compile
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    sections: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Summary {
    /// Adds to a number.
    pub fn add(&mut self, section: &str, name: &str, more: u64) {
        // Most names are known, and a lookup allocates nothing.
        match self.sections.get_mut(section).and_then(|section| section.get_mut(name)) {
            Some(total) => *total += more,
            None => {
                self.sections.entry(section.into()).or_default().insert(name.into(), more);
            }
        }
    }

    /// A number; 0 if nothing was added.
    pub fn get(&self, section: &str, name: &str) -> u64 {
        self.section(section).find(|(known, _)| *known == name).map_or(0, |(_, total)| total)
    }

    /// An event's count.
    pub fn count(&self, kind: &str) -> u64 {
        self.get("counts", kind)
    }

    /// The names and numbers of a section, in alphabetical order.
    pub fn section(&self, section: &str) -> impl Iterator<Item = (&str, u64)> {
        self.sections.get(section).into_iter().flatten().map(|(name, total)| (name.as_str(), *total))
    }

    /// What this run has more of than another one.
    pub fn since(&self, other: &Self) -> Self {
        let mut more = Self::default();
        for (section, totals) in &self.sections {
            for (name, total) in totals {
                match total.saturating_sub(other.get(section, name)) {
                    0 => {}
                    difference => more.add(section, name, difference),
                }
            }
        }
        more
    }

    /// Formats the file.
    pub fn to_json(&self) -> String {
        let section = |(section, totals): (&String, &BTreeMap<String, u64>)| {
            let lines: Vec<String> =
                totals.iter().map(|(name, total)| format!("    {}: {total}", quoted(name))).collect();
            format!("  {}: {{\n{}\n  }}", quoted(section), lines.join(",\n"))
        };
        let sections: Vec<String> = self.sections.iter().map(section).collect();
        format!("{{\n{}\n}}\n", sections.join(",\n"))
    }

    /// Parses a file that [`Self::to_json`] has formatted.
    ///
    /// # Errors
    /// If a line has another form, or the end is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut summary = Self::default();
        let mut section = String::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim().trim_end_matches(','))) {
            let wrong = || format!("line {number}, `{line}`: expected a section or a number of a summary");
            match line {
                "{" | "}" | "" => {}
                _ => {
                    let (name, value) = unquoted(line).ok_or_else(wrong)?;
                    match value {
                        "{" => section = name,
                        _ => summary.add(&section, &name, value.parse().map_err(|_| wrong())?),
                    }
                }
            }
        }
        if text.trim_end().ends_with("\n}") { Ok(summary) } else { Err("the end of the summary is missing".into()) }
    }
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Splits `"name": value`.
fn unquoted(line: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = line.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => match characters.next()? {
                'u' => {
                    let code: String = characters.by_ref().take(4).collect();
                    name.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                escaped => name.push(escaped),
            },
            other => name.push(other),
        }
    }
    Some((name, characters.as_str().strip_prefix(": ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_unchanged_by_writing_and_reading() {
        let mut summary = Summary::default();
        summary.add("counts", "launches", 3);
        summary.add("counts", "launches", 4);
        summary.add("failures", "a \"quoted\"\tline\\", 1);
        assert_eq!(summary.count("launches"), 7);
        let text = summary.to_json();
        assert_eq!(Summary::parse(&text).unwrap(), summary);
        assert_eq!(Summary::parse(&Summary::default().to_json()).unwrap(), Summary::default());
        for end in (1..text.trim_end().len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(Summary::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
        assert!(
            Summary::parse("{\n  \"counts\": {\n    \"launches\": many\n  }\n}\n").unwrap_err().starts_with("line 3")
        );
    }

    #[test]
    fn a_difference_keeps_what_is_more() {
        let (mut short, mut long) = (Summary::default(), Summary::default());
        short.add("kernels", "a", 2);
        long.add("kernels", "a", 6);
        long.add("kernels", "b", 1);
        short.add("kernels", "c", 3);
        long.add("kernels", "c", 3);
        assert_eq!(long.since(&short).section("kernels").collect::<Vec<_>>(), [("a", 4), ("b", 1)]);
    }
}

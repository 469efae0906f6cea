//! Text files of a dataset with one record a line and spaces between its fields.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use qare_printable::printable;

use super::catalog::Catalog;
use crate::error::DataError;

/// One line of a list: its number from 1, and its `N` fields. The last field is the rest of the line.
pub(super) struct Line<const N: usize> {
    pub number: usize,
    pub fields: [String; N],
}

/// A list that was read.
pub(super) struct List<const N: usize> {
    path: PathBuf,
    /// The form of a line, for messages.
    form: &'static str,
    pub lines: Vec<Line<N>>,
}

impl<const N: usize> List<N> {
    /// Reads a list in the folder of a catalog. A list that is missing, and lines of another form, are problems of the catalog.
    pub fn read(catalog: &mut Catalog, name: &str, form: &'static str, belongs: &'static str) -> Self {
        let path = catalog.root.join(name);
        let mut list = Self { path: path.clone(), form, lines: Vec::new() };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                catalog.problems.push(match error.kind() {
                    std::io::ErrorKind::NotFound => DataError::MissingFile { path, expected: belongs },
                    _ => DataError::Read { path, source: error },
                });
                return list;
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate().map(|(place, line)| (place + 1, line.trim())) {
            if line.is_empty() {
                continue;
            }
            match fields(line) {
                Some(fields) => list.lines.push(Line { number, fields }),
                None => {
                    let start: String = line.chars().take(40).collect();
                    list.bad(catalog, number, format!("`{}` has fewer than {N} fields", printable(start)));
                }
            }
        }
        list
    }

    /// Adds a problem with a line.
    pub fn bad(&self, catalog: &mut Catalog, line: usize, problem: String) {
        catalog.problems.push(DataError::BadList { path: self.path.clone(), line, problem, expected: self.form });
    }

    /// The number in a field; anything else is a problem.
    pub fn number<T: FromStr>(&self, catalog: &mut Catalog, line: &Line<N>, field: usize) -> Option<T> {
        let number = line.fields[field].parse().ok();
        if number.is_none() {
            self.bad(catalog, line.number, format!("`{}` is no number", printable(&line.fields[field])));
        }
        number
    }
}

/// Splits a line at spaces and tabs into `N` fields.
fn fields<const N: usize>(line: &str) -> Option<[String; N]> {
    let mut rest = line;
    let mut fields = Vec::with_capacity(N);
    while fields.len() + 1 < N {
        let (field, after) = rest.split_once([' ', '\t'])?;
        fields.push(field.to_owned());
        rest = after.trim_start();
    }
    fields.push(rest.to_owned());
    fields.try_into().ok().filter(|fields: &[String; N]| fields.iter().all(|field| !field.is_empty()))
}

//! Reading `log.csv` as a table of numbers.

use std::path::Path;

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::files::read_text;

/// The figures of all epochs of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogTable {
    /// Names of the columns; the first is `epoch`.
    pub columns: Vec<String>,
    /// One row for each epoch, with a value for each column. An empty field is `None`.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl LogTable {
    /// Reads the log of the run in a folder. A run without a log, such as an untrained one, has an empty table.
    ///
    /// # Errors
    /// If the file cannot be read, or a line does not have a number or nothing in each column.
    pub fn of_run(folder: &Path) -> Result<Self> {
        let path = folder.join("log.csv");
        if !path.is_file() {
            return Ok(Self::default());
        }
        Self::parse(&read_text(&path)?).map_err(|problem| {
            LabError::Failed(format!(
                "{} is damaged: {problem}; repair it, or move it away to go on without its figures",
                path.printable()
            ))
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        if header.split(',').next() != Some("epoch") || !text.contains('\n') {
            return Err("line 1: expected a whole line of names of columns, the first of them `epoch`".into());
        }
        let columns: Vec<String> = header.split(',').map(str::to_string).collect();
        let number = |field: &str| if field.is_empty() { Ok(None) } else { field.parse().map(Some) };
        let rows = lines.enumerate().map(|(place, line)| {
            let fields: std::result::Result<Vec<Option<f64>>, _> = line.split(',').map(number).collect();
            fields.ok().filter(|fields| fields.len() == columns.len() && fields[0].is_some()).ok_or_else(|| {
                format!("line {}: expected {} numbers, the first of them the epoch", place + 2, columns.len())
            })
        });
        Ok(Self { rows: rows.collect::<std::result::Result<_, _>>()?, columns })
    }

    /// Returns the last value of a column, if there is one.
    pub fn last(&self, column: &str) -> Option<f64> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.rows.iter().rev().find_map(|row| row[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbers_or_empty() {
        let table = LogTable::parse("epoch,loss,score\n1,2.5,\n2,1.5,40\n3,1e-3,\n").unwrap();
        assert_eq!(table.columns, ["epoch", "loss", "score"]);
        assert_eq!(table.rows[0], [Some(1.0), Some(2.5), None]);
        assert_eq!((table.last("score"), table.last("loss"), table.last("none")), (Some(40.0), Some(1e-3), None));
    }

    #[test]
    fn the_damaged_line_is_named() {
        for (text, place) in
            [("", "line 1"), ("loss\n1", "line 1"), ("epoch,loss\n1,2\n2", "line 3"), ("epoch,loss\n1,x", "line 2")]
        {
            assert!(LogTable::parse(text).unwrap_err().starts_with(place), "{text}");
        }
        assert!(LogTable::of_run(Path::new("/no/such/run")).unwrap().rows.is_empty());
    }
}

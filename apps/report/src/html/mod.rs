//! The page.

mod curves;
mod details;
mod page;
mod tables;

use crate::error::Result;
use crate::groups::{Group, groups};
use crate::report::Report;
use crate::svg::Plot;

pub(crate) use page::Page;

impl Report {
    /// Returns the report as one HTML file, which loads nothing else.
    ///
    /// # Errors
    /// If a picture cannot be encoded, or a matrix does not fit its classes.
    pub fn html(&self) -> Result<String> {
        let groups = groups(&self.runs);
        let mut page = Page::default();
        page.notes(&self.notes);
        tables::results(&mut page, &self.runs, &groups);
        curves::curves(&mut page, &self.runs, &groups);
        details::details(&mut page, self, &groups)?;
        tables::settings(&mut page, &self.runs, &groups);
        Ok(page.finish(self))
    }

    /// Returns the plots of the report, for files. Their names are unique.
    ///
    /// # Errors
    /// The errors of [`html`](Self::html).
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let groups = groups(&self.runs);
        let mut plots = curves::plots(&self.runs, &groups);
        for detail in &self.details {
            let of_run = details::plots(detail, None);
            let prefix = self.file_name(detail.run);
            plots.extend(of_run.into_iter().map(|plot| Plot { name: format!("{prefix}-{}", plot.name), ..plot }));
        }
        Ok(plots)
    }

    /// Returns sheets of images and their neighbours as PNG: a name and the bytes of each.
    ///
    /// # Errors
    /// If a picture cannot be encoded.
    pub fn sheets(&self) -> Result<Vec<(String, Vec<u8>)>> {
        self.details
            .iter()
            .filter(|detail| !detail.queries.is_empty())
            .map(|detail| {
                let name = format!("{}-neighbours", self.file_name(detail.run));
                Ok((name, details::sheet(&detail.queries)?))
            })
            .collect()
    }

    /// Returns the start of the names of a run's files: its name, and a number if another run has the same, as in another folder.
    fn file_name(&self, run: usize) -> String {
        let of = |run: usize| crate::svg::slug(&self.runs[run].name);
        let before = (0..run).filter(|other| of(*other) == of(run)).count();
        if before == 0 { of(run) } else { format!("{}-{}", of(run), before + 1) }
    }
}

/// Returns the name of the group of a run.
fn group_of(groups: &[Group], run: usize) -> &str {
    groups.iter().find(|group| group.runs.contains(&run)).map_or("", |group| group.name.as_str())
}

#[cfg(test)]
mod tests {
    use crate::{Report, Run};

    #[test]
    fn files_of_runs_with_one_name_do_not_replace_each_other() {
        let run = |name: &str| Run { name: name.into(), ..Default::default() };
        let report = Report { runs: vec![run("a b"), run("c"), run("a-b"), run("a b")], ..Default::default() };
        assert_eq!([0, 1, 2, 3].map(|index| report.file_name(index)), ["a-b", "c", "a-b-2", "a-b-3"]);
    }
}

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
            let prefix = crate::svg::slug(&self.runs[detail.run].name);
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
                let name = format!("{}-neighbours", crate::svg::slug(&self.runs[detail.run].name));
                Ok((name, details::sheet(&detail.queries)?))
            })
            .collect()
    }
}

/// Returns the name of the group of a run.
fn group_of(groups: &[Group], run: usize) -> &str {
    groups.iter().find(|group| group.runs.contains(&run)).map_or("", |group| group.name.as_str())
}

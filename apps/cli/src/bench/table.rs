//! Tables as aligned text and as Markdown.

/// A table. The first column is text, the others are figures.
pub struct Table {
    pub heading: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Formats the table in aligned columns, for a terminal.
    pub fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| self.lines().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.lines().map(line).collect()
    }

    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.heading.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_string()).collect();
        let mut lines = vec![line(self.heading.clone()), line(rule)];
        lines.extend(self.rows.iter().cloned().map(line));
        lines.concat()
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.heading).chain(&self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned_with_their_heading() {
        let cells = |row: [&str; 2]| row.map(str::to_string).to_vec();
        let table = Table { heading: cells(["what", "ms"]), rows: vec![cells(["a step", "1.25"])] };
        assert_eq!(table.text(), "what      ms\na step  1.25\n");
        assert_eq!(table.markdown(), "| what | ms |\n| --- | ---: |\n| a step | 1.25 |\n");
    }
}

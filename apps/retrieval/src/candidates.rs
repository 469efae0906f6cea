use std::collections::HashMap;

use crate::labelled_rows::LabelledRows;

/// The references that count for a query: all but junk and those of its label that a rule leaves out.
pub(crate) struct Candidates {
    /// Rows of each label, ascending, without junk.
    of_label: HashMap<u32, Vec<u32>>,
    junk: Vec<u32>,
}

impl Candidates {
    pub(crate) fn of(references: &LabelledRows) -> Self {
        let mut candidates = Self { of_label: HashMap::new(), junk: Vec::new() };
        for (row, label) in references.labels.iter().enumerate() {
            if references.is_junk(row) {
                candidates.junk.push(row as u32);
            } else {
                candidates.of_label.entry(*label).or_default().push(row as u32);
            }
        }
        candidates
    }

    /// Sets the similarities of the references that do not count for a query of this label to −∞, and writes the rows of the relevant ones into
    /// `relevant`, ascending. `left_out` says which references of the label do not count.
    pub(crate) fn keep(
        &self,
        label: u32,
        left_out: impl Fn(usize) -> bool,
        similarities: &mut [f32],
        relevant: &mut Vec<u32>,
    ) {
        self.junk.iter().for_each(|row| similarities[*row as usize] = f32::NEG_INFINITY);
        relevant.clear();
        for row in self.of_label.get(&label).into_iter().flatten() {
            if left_out(*row as usize) {
                similarities[*row as usize] = f32::NEG_INFINITY;
            } else {
                relevant.push(*row);
            }
        }
    }
}

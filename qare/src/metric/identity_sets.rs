use std::collections::HashMap;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::{ObjectiveError, Views};

/// View sets of a labelled batch: one image of each identity in every set.
///
/// Two sets, A and B, are what the set term of a labelled batch compares; with K of them it is the mean over their pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentitySets {
    views: Views,
    /// None where the sets are all rows as they are.
    chosen: Option<Chosen>,
}

#[derive(Clone, Debug, PartialEq)]
struct Chosen {
    /// Which rows the sets have, image k of identity i at i·K + k.
    rows: Vec<i64>,
    /// N, the rows there are.
    of: usize,
}

impl IdentitySets {
    /// Of a batch with K images of each identity in order: row i·K + k is image k of identity i.
    pub fn in_order(images: Views) -> Self {
        Self { views: images, chosen: None }
    }

    /// Of labels `[N]`: image k of an identity in the order of the batch is in set k. Identities with fewer than K images are left out, and
    /// so are the images of the others after the K-th.
    pub fn of_labels(labels: &[i64], sets: Views) -> Self {
        let mut found: HashMap<i64, usize> = HashMap::new();
        let mut identities: Vec<Vec<i64>> = Vec::new();
        for (row, label) in labels.iter().enumerate() {
            let identity = *found.entry(*label).or_insert(identities.len());
            if identity == identities.len() {
                identities.push(Vec::new());
            }
            if identities[identity].len() < sets.count() {
                identities[identity].push(row as i64);
            }
        }
        let whole = identities.into_iter().filter(|images| images.len() == sets.count());
        let chosen = Chosen { rows: whole.flatten().collect(), of: labels.len() };
        Self { views: sets, chosen: Some(chosen) }
    }

    /// K, the number of sets.
    pub fn views(&self) -> Views {
        self.views
    }

    /// The rows of the sets, `[N, D]` → `[K·B, D]` for B identities, in the order of [`views`](Self::views); none where B is less than 2, so
    /// that there is no set term.
    ///
    /// # Errors
    /// When sets [`in_order`](Self::in_order) are not K rows each of at least 2 identities, and when sets of labels are not of one label for
    /// each row.
    pub fn select<B: Backend>(&self, embeddings: Tensor<B, 2>) -> Result<Option<Tensor<B, 2>>, ObjectiveError> {
        let [count, _] = embeddings.dims();
        let Some(Chosen { rows, of }) = &self.chosen else {
            self.views.images(count)?;
            return Ok(Some(embeddings));
        };
        if *of != count {
            return Err(ObjectiveError::LabelCount { labels: *of, rows: count, quantity: "embeddings" });
        }
        if rows.len() < 2 * self.views.count() {
            return Ok(None);
        }
        let indices = TensorData::new(rows.clone(), [rows.len()]);
        let indices = Tensor::from_data(indices, &embeddings.device());
        Ok(Some(embeddings.select(0, indices)))
    }
}

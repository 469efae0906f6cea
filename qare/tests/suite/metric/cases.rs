//! Labelled batches, and values and gradients of the losses on them.

use burn::module::Param;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Element, Int, Tensor, TensorData};
use qare::ObjectiveError;
use qare::metric::MetricLossConfig;

use super::golden::{losses, proxies, with_references};
use super::oracle::Batch;
use crate::evaluation::{number, of_type, random_rows};
use crate::oracle::Rows;

pub const IDENTITIES: usize = 6;

pub fn ints<B: Backend>(labels: &[i64]) -> Tensor<B, 1, Int> {
    Tensor::from_data(TensorData::new(labels.to_vec(), [labels.len()]), &Default::default())
}

/// A batch of rows in random directions.
pub fn batch(labels: &[i64], dim: usize, seed: u64) -> Batch {
    Batch {
        rows: random_rows(labels.len(), dim, seed),
        labels: labels.to_vec(),
        references: None,
        proxies: random_rows(IDENTITIES, dim, 1000 + seed),
    }
}

/// Of every kind that labels make.
pub fn batches() -> Vec<Batch> {
    let mut batches = vec![
        batch(&[0, 0, 1, 1, 2, 2, 3, 3], 5, 0),
        batch(&[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2], 3, 1),
        batch(&[5, 0, 0, 0, 0, 0, 0, 2, 1, 1], 8, 2),
        batch(&[4, 4, 4, 4], 4, 3),
        batch(&[3, 1, 0, 5, 2], 4, 4),
        batch(&[1, 1], 3, 5),
        batch(&[1, 2], 3, 6),
        batch(&[2], 3, 7),
    ];
    // Near each other.
    let mut near = batch(&[0, 0, 1, 1, 2, 2, 2], 6, 8);
    let centre = random_rows(1, 6, 80);
    near.rows.iter_mut().for_each(|row| row.iter_mut().zip(&centre[0]).for_each(|(x, c)| *x = c + 0.05 * *x));
    batches.push(near);
    for (seed, of_references) in
        [vec![0, 1, 2, 2, 9, 9, 0], vec![7, 8], vec![0, 0, 0], vec![4, 3, 2, 1, 0, 5]].into_iter().enumerate()
    {
        let mut with_references = batch(&[0, 1, 2, 3, 0], 4, 20 + seed as u64);
        if of_references == [0, 0, 0] {
            with_references.labels = vec![0; 5];
        }
        with_references.references = Some((random_rows(of_references.len(), 4, 40 + seed as u64), of_references));
        batches.push(with_references);
    }
    batches
}

/// The losses of a batch, without those over proxies where it has references.
pub fn losses_of(batch: &Batch) -> Vec<(&'static str, MetricLossConfig)> {
    let all = losses(IDENTITIES, batch.rows[0].len());
    let pairs_alone = |name: &str| ["proxy", "normalized", "arc"].iter().all(|start| !name.starts_with(start));
    all.into_iter().filter(|(name, _)| batch.references.is_none() || pairs_alone(name)).collect()
}

/// The gradients of rows, and then of references or proxies if a loss has them.
pub fn evaluate<B: AutodiffBackend>(
    config: &MetricLossConfig,
    batch: &Batch,
    dtype: DType,
) -> Result<(f64, Vec<Rows>), ObjectiveError> {
    let leaf = |rows: &Rows| of_type::<B>(rows, dtype).require_grad();
    let mut loss = config.init::<B>(&Default::default())?;
    let z = leaf(&batch.rows);
    let mut leaves = vec![z.clone()];
    if let Some(proxies) = proxies(&mut loss) {
        *proxies = Param::from_tensor(leaf(&batch.proxies));
        leaves.push(proxies.val());
    }
    let value = match &batch.references {
        Some((references, labels)) => {
            let references = leaf(references);
            leaves.push(references.clone());
            with_references(&loss, z, ints(&batch.labels), references, ints(labels))?
        }
        None => loss.forward(z, ints(&batch.labels))?,
    };
    let gradients = value.backward();
    let of_leaf = |leaf: Tensor<B, 2>| -> Rows {
        let gradient = leaf.grad(&gradients).expect("the loss is on the graph");
        assert_eq!(gradient.dtype(), dtype);
        let dim = gradient.dims()[1];
        gradient.into_data().iter::<f64>().collect::<Vec<_>>().chunks(dim).map(<[f64]>::to_vec).collect()
    };
    Ok((number(value), leaves.into_iter().map(of_leaf).collect()))
}

/// The same in the backend's own float; no value where SparseCLR by itself has none.
pub fn evaluate_own<B: AutodiffBackend>(config: &MetricLossConfig, batch: &Batch) -> Option<(f64, Vec<Rows>)> {
    match evaluate::<B>(config, batch, <B::FloatElem as Element>::dtype()) {
        Err(ObjectiveError::NoPositives) => {
            assert!(matches!(config, MetricLossConfig::SparseClr(_)) && batch.references.is_some());
            None
        }
        found => Some(found.unwrap()),
    }
}

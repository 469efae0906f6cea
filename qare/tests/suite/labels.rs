//! Losses with labels, with reference embeddings and image by image, against literal oracles and finite differences in f64.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use qare::*;

use crate::evaluation::{Flex, NdArray64, number, random_rows, scaled, tensor};
use crate::oracle::{self, Rows};

/// A loss as the crate and as the oracle know it.
#[derive(Clone, Copy, Debug)]
enum Loss {
    NtXent { temperature: f64, reduction: NtXentReduction },
    SparseClr { margin: f64 },
}

const LOSSES: [Loss; 6] = [
    Loss::NtXent { temperature: 0.5, reduction: NtXentReduction::MeanOfLogs },
    Loss::NtXent { temperature: 0.5, reduction: NtXentReduction::LogOfMean },
    Loss::NtXent { temperature: 0.02, reduction: NtXentReduction::MeanOfLogs },
    Loss::NtXent { temperature: 0.02, reduction: NtXentReduction::LogOfMean },
    Loss::SparseClr { margin: 1.0 },
    Loss::SparseClr { margin: 0.3 },
];

/// What a loss is given.
#[derive(Clone)]
enum Given {
    Views(Rows, usize),
    Labels(Rows, Vec<i64>),
    References(Rows, Vec<i64>, Rows, Vec<i64>),
}

fn ints<B: Backend>(labels: &[i64]) -> Tensor<B, 1, Int> {
    Tensor::from_ints(labels, &Default::default())
}

impl Loss {
    fn of<B: Backend>(self, similarity: Similarity, given: &Given) -> Result<Vec<f64>, ObjectiveError> {
        macro_rules! of {
            ($loss:expr) => {{
                let loss = $loss;
                match given {
                    Given::Views(rows, k) => loss.forward_no_reduction(tensor::<B>(rows), Views::new(*k)?),
                    Given::Labels(rows, labels) => loss.forward_labels(tensor::<B>(rows), ints(labels)),
                    Given::References(rows, labels, references, of_references) => {
                        let references = tensor::<B>(references);
                        loss.forward_references(tensor::<B>(rows), ints(labels), references, ints(of_references))
                    }
                }
            }};
        }
        let losses = match self {
            Loss::NtXent { temperature, reduction } => of!(NtXentConfig::new()
                .with_temperature(temperature)
                .with_reduction(reduction)
                .with_similarity(similarity)
                .init()?),
            Loss::SparseClr { margin } => {
                of!(SparseClrConfig::new().with_margin(margin).with_similarity(similarity).init()?)
            }
        }?;
        Ok(losses.into_data().iter::<f64>().collect())
    }

    /// The loss of a row with similarities `s` to its candidates, of which some are positives.
    fn of_row(self, s: &[f64], positives: &[usize]) -> f64 {
        match self {
            Loss::NtXent { temperature, reduction } => {
                let largest = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let log_sum = s.iter().map(|s| ((s - largest) / temperature).exp()).sum::<f64>().ln();
                let log_p = positives.iter().map(|j| (s[*j] - largest) / temperature - log_sum);
                let count = positives.len() as f64;
                match reduction {
                    NtXentReduction::MeanOfLogs => -log_p.sum::<f64>() / count,
                    NtXentReduction::LogOfMean => -(log_p.map(f64::exp).sum::<f64>() / count).ln(),
                }
            }
            Loss::SparseClr { margin } => {
                let mut n = s.to_vec();
                positives.iter().for_each(|j| n[*j] -= margin);
                let (tau, _) = oracle::sparsemax_threshold(&n);
                let raised = positives.iter().map(|j| n[*j]).sum::<f64>() / positives.len() as f64;
                let support = n.iter().filter(|n| **n > tau);
                0.5 * support.map(|n| n * n - tau * tau).sum::<f64>() - raised + 0.5
            }
        }
    }

    /// One number from those of the rows.
    fn reduced(self, losses: &[f64]) -> f64 {
        let count = losses.len() as f64;
        match self {
            Loss::NtXent { reduction: NtXentReduction::LogOfMean, .. } => {
                -(losses.iter().map(|loss| (-loss).exp()).sum::<f64>() / count).ln()
            }
            _ => losses.iter().sum::<f64>() / count,
        }
    }

    fn oracle(self, similarity: Similarity, given: &Given) -> Vec<f64> {
        let within = |rows: &Rows| match similarity {
            Similarity::Cosine => oracle::cosine(rows),
            Similarity::FlooredCosine => oracle::floored(rows),
        };
        match given {
            Given::Views(rows, k) => {
                let images: Vec<i64> = (0..rows.len()).map(|row| (row / k) as i64).collect();
                let losses = self.rows_of(&within(rows), &images, None);
                losses.chunks(*k).map(|losses| self.reduced(losses)).collect()
            }
            Given::Labels(rows, labels) => vec![self.reduced(&self.rows_of(&within(rows), labels, None))],
            Given::References(rows, labels, references, of_references) => {
                let both: Rows = rows.iter().chain(references).cloned().collect();
                let s: Rows = within(&both)[..rows.len()].iter().map(|s| s[rows.len()..].to_vec()).collect();
                vec![self.reduced(&self.rows_of(&s, labels, Some(of_references)))]
            }
        }
    }

    /// Of the rows that have positives.
    fn rows_of(self, s: &Rows, labels: &[i64], of_others: Option<&Vec<i64>>) -> Vec<f64> {
        let own = labels.to_vec();
        let mut losses = Vec::new();
        for (i, s) in s.iter().enumerate() {
            let counts = |j: &usize| of_others.is_some() || *j != i;
            let candidates: Vec<usize> = (0..s.len()).filter(counts).collect();
            let label = |j: usize| of_others.unwrap_or(&own)[j];
            let positives: Vec<usize> = (0..candidates.len()).filter(|j| label(candidates[*j]) == labels[i]).collect();
            if !positives.is_empty() {
                let s: Vec<f64> = candidates.iter().map(|j| s[*j]).collect();
                losses.push(self.of_row(&s, &positives));
            }
        }
        losses
    }
}

/// Batches of all three kinds; among the labels some that only one row has.
fn batches() -> Vec<Given> {
    let labels = |count: usize, classes: i64, seed: i64| -> Vec<i64> {
        (0..count as i64).map(|i| (5 * i + seed) % classes).collect()
    };
    let mut batches = Vec::new();
    for (seed, (images, k, dim)) in [(2, 2, 3), (5, 2, 4), (4, 3, 5), (3, 5, 8)].into_iter().enumerate() {
        let rows = random_rows(images * k, dim, seed as u64);
        batches.push(Given::Views(rows.clone(), k));
        batches.push(Given::Labels(rows.clone(), labels(images * k, 3, seed as i64)));
        let references = random_rows(7 + seed, dim, 90 + seed as u64);
        let (of_rows, of_references) = (labels(images * k, 4, 1), labels(7 + seed, 3, seed as i64));
        batches.push(Given::References(rows, of_rows, references, of_references));
    }
    // A label of its own for some rows.
    let rows = random_rows(6, 4, 33);
    batches.push(Given::Labels(rows.clone(), vec![0, 1, 0, 2, 3, 0]));
    batches.push(Given::References(
        rows.clone(),
        vec![5, 0, 9, 9, 0, 1],
        scaled(&rows, |_| 3.0),
        vec![0, 1, 2, 1, 1, 0],
    ));
    batches
}

const SIMILARITIES: [Similarity; 2] = [Similarity::Cosine, Similarity::FlooredCosine];

#[test]
fn values_equal_the_oracle() {
    for given in batches() {
        for loss in LOSSES {
            for similarity in SIMILARITIES {
                let expected = loss.oracle(similarity, &given);
                let found = loss.of::<NdArray64>(similarity, &given).unwrap();
                let single = loss.of::<Flex>(similarity, &given).unwrap();
                assert_eq!((found.len(), single.len()), (expected.len(), expected.len()));
                for ((found, single), expected) in found.iter().zip(single).zip(&expected) {
                    let scale = expected.abs().max(1.0);
                    assert!((found - expected).abs() <= 1e-10 * scale, "{loss:?}: {found}, expected {expected}");
                    // Similarities of f32 are off by a few ε, and a temperature of 0.02 makes 50 times that.
                    assert!(
                        (single - expected).abs() <= 1e-4 * scale,
                        "{loss:?} in f32: {single}, expected {expected}"
                    );
                }
            }
        }
    }
}

/// The derivative of a loss, or of one of several, along the backend's gradient against a finite difference.
#[test]
fn gradients_equal_finite_differences() {
    type B = NdArray64;
    let step = 1e-6;
    for (at, given) in batches().into_iter().enumerate() {
        for loss in LOSSES {
            for similarity in SIMILARITIES {
                let which = at % loss.oracle(similarity, &given).len();
                let shifted = |given: &Given, row: usize, column: usize, by: f64| -> f64 {
                    let mut given = given.clone();
                    let (Given::Views(rows, _) | Given::Labels(rows, _) | Given::References(rows, ..)) = &mut given;
                    let count = rows.len();
                    match &mut given {
                        Given::References(_, _, references, _) if row >= count => references[row - count][column] += by,
                        Given::Views(rows, _) | Given::Labels(rows, _) | Given::References(rows, ..) => {
                            rows[row][column] += by
                        }
                    }
                    loss.oracle(similarity, &given)[which]
                };
                let gradients = gradients::<B>(loss, similarity, &given, which);
                let dim = match &given {
                    Given::Views(rows, _) | Given::Labels(rows, _) | Given::References(rows, ..) => rows[0].len(),
                };
                let most = gradients.iter().fold(1.0f64, |most, g| most.max(g.abs()));
                for (index, gradient) in gradients.iter().enumerate() {
                    let (row, column) = (index / dim, index % dim);
                    let difference =
                        (shifted(&given, row, column, step) - shifted(&given, row, column, -step)) / (2.0 * step);
                    // The third derivative is at most some 1/t³ = 125,000, times step² / 6; and rounding is 1e-16 / step.
                    assert!(
                        (gradient - difference).abs() <= 1e-6 * most,
                        "{loss:?}, {similarity:?}, batch {at}: {gradient}, by differences {difference}"
                    );
                }
            }
        }
    }
}

/// Those of the rows, and then of the references.
fn gradients<B: burn::tensor::backend::AutodiffBackend>(
    loss: Loss,
    similarity: Similarity,
    given: &Given,
    which: usize,
) -> Vec<f64> {
    macro_rules! of {
        ($loss:expr) => {{
            let loss = $loss.unwrap();
            match given {
                Given::Views(rows, k) => {
                    let z = tensor::<B>(rows).require_grad();
                    (loss.forward_no_reduction(z.clone(), Views::new(*k).unwrap()), vec![z])
                }
                Given::Labels(rows, labels) => {
                    let z = tensor::<B>(rows).require_grad();
                    (loss.forward_labels(z.clone(), ints(labels)), vec![z])
                }
                Given::References(rows, labels, references, of_references) => {
                    let [z, r] = [rows, references].map(|rows| tensor::<B>(rows).require_grad());
                    let losses = loss.forward_references(z.clone(), ints(labels), r.clone(), ints(of_references));
                    (losses, vec![z, r])
                }
            }
        }};
    }
    let (losses, leaves) = match loss {
        Loss::NtXent { temperature, reduction } => {
            of!(NtXentConfig { temperature, similarity, reduction }.init())
        }
        Loss::SparseClr { margin } => of!(SparseClrConfig { margin, similarity }.init()),
    };
    let gradients = losses.unwrap().narrow(0, which, 1).backward();
    let numbers = |leaf: &Tensor<B, 2>| leaf.grad(&gradients).unwrap().into_data().iter::<f64>().collect::<Vec<_>>();
    leaves.iter().flat_map(numbers).collect()
}

#[test]
fn the_losses_of_images_come_to_that_of_the_batch() {
    for (images, k) in [(4, 2), (16, 2), (5, 3)] {
        let (rows, views) = (random_rows(images * k, 8, 7), Views::new(k).unwrap());
        for loss in LOSSES {
            let each = loss.of::<NdArray64>(Similarity::Cosine, &Given::Views(rows.clone(), k)).unwrap();
            assert_eq!(each.len(), images);
            let z = tensor::<NdArray64>(&rows);
            let batch = match loss {
                Loss::NtXent { temperature, reduction } => {
                    let config = NtXentConfig { temperature, reduction, similarity: Similarity::Cosine };
                    config.init().unwrap().forward(z, views)
                }
                Loss::SparseClr { margin } => {
                    SparseClrConfig::new().with_margin(margin).init().unwrap().forward(z, views)
                }
            };
            let (found, expected) = (loss.reduced(&each), number(batch.unwrap()));
            assert!((found - expected).abs() < 1e-10 * expected.abs().max(1.0), "{loss:?}: {found}, {expected}");
        }
    }
}

#[test]
fn rows_of_any_length_among_references_have_the_loss_of_their_directions() {
    let (rows, references) = (random_rows(5, 6, 1), random_rows(8, 6, 2));
    let (labels, of_references) = (vec![0, 1, 2, 0, 1], vec![0, 1, 2, 0, 1, 2, 0, 1]);
    for loss in LOSSES {
        let of = |factor: f64, other: f64| {
            let [rows, references] =
                [(&rows, factor), (&references, other)].map(|(rows, factor)| scaled(rows, |_| factor));
            let given = Given::References(rows, labels.clone(), references, of_references.clone());
            loss.of::<Flex>(Similarity::Cosine, &given).unwrap()[0]
        };
        let expected = of(1.0, 1.0);
        for (factor, other) in [(1e30, 1.0), (1.0, 1e-3), (1e-3, 1e30), (1e18, 1e18)] {
            assert!(
                (of(factor, other) - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{loss:?}: {factor}, {other}"
            );
        }
    }
}

#[test]
fn what_has_no_loss_is_named() {
    let rows = random_rows(4, 3, 0);
    let loss = NtXent::default();
    let z = || tensor::<Flex>(&rows);
    let error = loss.forward_labels(z(), ints(&[0, 1, 1])).unwrap_err();
    assert_eq!(error, ObjectiveError::LabelCount { labels: 3, rows: 4, quantity: "embeddings" });
    assert_eq!(loss.forward_labels(z(), ints(&[0, 1, 2, 3])).unwrap_err(), ObjectiveError::NoPositives);
    let references = tensor::<Flex>(&random_rows(3, 2, 0));
    let error = loss.forward_references(z(), ints(&[0; 4]), references, ints(&[0; 3])).unwrap_err();
    assert_eq!(error, ObjectiveError::UnlikeReferences { embeddings: [4, 3], references: [3, 2] });
    let mut references = random_rows(3, 3, 0);
    references[1][2] = f64::NAN;
    let error = loss.forward_references(z(), ints(&[0; 4]), tensor(&references), ints(&[0; 3])).unwrap_err();
    assert!(error.to_string().contains("row 1 of the reference embeddings"), "{error}");
    let error = SparseClr::default().forward_no_reduction(tensor::<Flex>(&random_rows(2, 3, 0)), Views::PAIR);
    assert_eq!(error.unwrap_err(), ObjectiveError::TooFewImages { images: 1 });
}

#[test]
fn numbers_out_of_range_are_errors_of_init() {
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = NtXentConfig::new().with_temperature(temperature).init().unwrap_err();
        assert!(error.to_string().starts_with("NT-Xent's temperature is"), "{error}");
    }
    let margin = SparseClrConfig::new().with_margin(f64::INFINITY);
    assert!(matches!(margin.init(), Err(ObjectiveError::InvalidParameter { .. })));
    assert!(PairwiseConfig::SparseClr(margin).init().is_err());
    let error = ContrastiveObjectiveConfig::sparseclr_qare(1.0, f64::NAN).init().unwrap_err();
    assert_eq!(error.to_string(), "the weight beta is NaN: it has to be finite");
}

/// The losses are modules without parameters: a model that holds one is saved, moved and printed with it.
#[test]
fn losses_are_modules() {
    use burn::module::Module;

    let objective = ContrastiveObjectiveConfig::sparseclr_qare(1.0, 0.5).init().unwrap();
    let module: &dyn Fn(&ContrastiveObjective) -> usize = &Module::<Flex>::num_params;
    assert_eq!(module(&objective), 0);
    let text = objective.to_string();
    for part in ["SparseClr", "margin: 1", "FlooredCosine", "Qare", "beta: 0.5"] {
        assert!(text.contains(part), "{text}");
    }
    let text = NtXent::default().to_string();
    assert!(text.contains("temperature: 0.5") && text.contains("MeanOfLogs"), "{text}");
}

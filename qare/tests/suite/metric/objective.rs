//! The loss and the set term of labelled batches.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use qare::metric::*;
use qare::*;

use super::cases::{IDENTITIES, ints};
use super::golden::{losses, proxies};
use crate::evaluation::{Flex, NdArray64, distance, number, random_rows, tensor};
use crate::oracle::Rows;

type B = NdArray64;

fn objective(config: MetricLossConfig, qare: QareConfig, beta: f64) -> MetricObjective<B> {
    let config = MetricObjectiveConfig::new(config).with_qare(Some(qare)).with_beta(beta);
    config.init(&Default::default()).unwrap()
}

fn triplet() -> MetricLossConfig {
    MetricLossConfig::TripletMargin(TripletMarginConfig::new().with_margin(0.3))
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0)
}

#[test]
fn sets_have_one_image_of_each_identity() {
    let rows: Rows = (0..9).map(|row| vec![row as f64]).collect();
    // Identities 7, 2 and 4 have two images, 5 has one.
    let labels = [7, 2, 7, 5, 7, 4, 4, 2, 2];
    let of = |sets: usize| {
        let sets = IdentitySets::of_labels(&labels, Views::new(sets).unwrap());
        let selected = sets.select(tensor::<B>(&rows)).unwrap();
        selected.map(|rows| rows.into_data().iter::<f64>().collect::<Vec<_>>())
    };
    assert_eq!(of(2), Some(vec![0.0, 2.0, 1.0, 7.0, 5.0, 6.0]));
    assert_eq!(of(3), Some(vec![0.0, 2.0, 4.0, 1.0, 7.0, 8.0]));
    // None has four.
    assert_eq!(of(4), None);
    let one = IdentitySets::of_labels(&[3, 3, 3, 1], Views::PAIR);
    assert!(one.select(tensor::<B>(&random_rows(4, 1, 0))).unwrap().is_none());
    let error = one.select(tensor::<B>(&rows)).unwrap_err();
    assert_eq!(error, ObjectiveError::LabelCount { labels: 4, rows: 9, quantity: "embeddings" });
    let in_order = IdentitySets::in_order(Views::new(3).unwrap());
    let selected = in_order.select(tensor::<B>(&rows)).unwrap().unwrap();
    assert_eq!(selected.into_data(), tensor::<B>(&rows).into_data());
    let error = IdentitySets::in_order(Views::PAIR).select(tensor::<B>(&rows)).unwrap_err();
    assert_eq!(error, ObjectiveError::RaggedViews { rows: 9, views: 2 });
}

/// Every loss with every set term: the sum, and the gradient of the sum.
#[test]
fn objectives_are_the_sum_of_their_terms() {
    let rows = random_rows(9, 5, 1);
    let labels = [3, 2, 3, 5, 3, 4, 4, 2, 2];
    let order = [0usize, 2, 1, 7, 5, 6];
    let beta = 0.7;
    for (name, config) in losses(IDENTITIES, 5) {
        for set_term in SetTerm::ALL {
            let qare = QareConfig::new().with_set_term(set_term);
            let objective = objective(config.clone(), qare.clone(), beta);
            let z = tensor::<B>(&rows).require_grad();
            let output = objective.forward(z.clone(), ints(&labels)).unwrap();
            let gradient: Vec<f64> = z.grad(&output.loss.backward()).unwrap().into_data().iter::<f64>().collect();

            let alone = tensor::<B>(&rows).require_grad();
            // New leaves for each pass: another thread's pass may drop the graph of leaves that have been through one (Burn 0.21).
            let mut loss = objective.loss.clone();
            if let Some(proxies) = proxies(&mut loss) {
                *proxies = Param::from_tensor(proxies.val().detach());
            }
            let pairwise = loss.forward(alone.clone(), ints(&labels)).unwrap();
            let of_pairwise = alone.grad(&pairwise.backward()).unwrap().into_data();
            let sets: Rows = order.iter().map(|row| rows[*row].clone()).collect();
            let sets = tensor::<B>(&sets).require_grad();
            let q = qare.init().forward(sets.clone(), Views::PAIR).unwrap();
            let of_q: Vec<f64> = sets.grad(&q.backward()).unwrap().into_data().iter::<f64>().collect();

            let found = [output.loss, output.pairwise, output.qare.unwrap()].map(number);
            let (pairwise, q) = (number(pairwise), number(q));
            let expected = [pairwise + beta * q, pairwise, q];
            assert!(
                found.iter().zip(expected).all(|(a, b)| close(*a, b)),
                "{name}, {set_term}: {found:?}, {expected:?}"
            );
            let mut expected: Vec<f64> = of_pairwise.iter::<f64>().collect();
            for (at, row) in order.iter().enumerate() {
                (0..5).for_each(|column| expected[row * 5 + column] += beta * of_q[at * 5 + column]);
            }
            assert!(distance(&gradient, &expected) <= 1e-12, "{name}, {set_term}");
        }
    }
}

#[test]
fn sets_may_be_known_beforehand() {
    let rows = random_rows(12, 4, 2);
    let labels = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3];
    let three = Views::new(3).unwrap();
    let config = MetricObjectiveConfig::new(triplet()).with_qare(Some(QareConfig::new())).with_sets(3);
    let objective = config.init::<B>(&Default::default()).unwrap();
    let read = objective.forward(tensor(&rows), ints(&labels)).unwrap();
    for sets in [IdentitySets::in_order(three), IdentitySets::of_labels(&labels, three)] {
        let known = objective.forward_sets(tensor(&rows), ints(&labels), &sets).unwrap();
        assert_eq!(number(known.loss), number(read.loss.clone()));
        let q = Qare::default().forward(tensor::<B>(&rows), three).unwrap();
        assert_eq!(number(known.qare.unwrap()), number(q));
    }
}

/// The paired batch of the paper: pairs between the sets, the set term within them.
#[test]
fn pairs_are_between_the_sets() {
    let (first, second) = (random_rows(6, 5, 3), random_rows(6, 5, 4));
    let labels: Vec<i64> = (0..6).collect();
    for (name, config) in losses(IDENTITIES, 5) {
        let objective = objective(config, QareConfig::new(), 0.5);
        let output = objective.forward_pair(tensor(&first), tensor(&second), ints(&labels)).unwrap();
        let q = Qare::default().forward_pair(tensor::<B>(&first), tensor(&second)).unwrap();
        let there = |a: &Rows, b: &Rows| {
            let found = match &objective.loss {
                MetricLoss::ProxyAnchor(_) | MetricLoss::NormalizedSoftmax(_) | MetricLoss::ArcFace(_) => {
                    let both: Rows = a.iter().chain(b).cloned().collect();
                    objective.loss.forward(tensor(&both), ints(&labels.repeat(2)))
                }
                loss => super::golden::with_references(loss, tensor(a), ints(&labels), tensor(b), ints(&labels)),
            };
            number(found.unwrap())
        };
        let pairwise = (there(&first, &second) + there(&second, &first)) / 2.0;
        let expected = [pairwise + 0.5 * number(q.clone()), pairwise, number(q)];
        let found = [output.loss, output.pairwise, output.qare.unwrap()].map(number);
        assert!(found.iter().zip(expected).all(|(a, b)| close(*a, b)), "{name}: {found:?}, {expected:?}");
    }
}

#[test]
fn a_batch_without_sets_has_the_loss_alone() {
    let rows = random_rows(5, 4, 5);
    let objective = objective(triplet(), QareConfig::new(), 2.0);
    for labels in [[0, 1, 2, 3, 4], [0, 0, 0, 1, 2]] {
        let output = objective.forward(tensor(&rows), ints(&labels)).unwrap();
        assert!(output.qare.is_none());
        let alone = objective.loss.forward(tensor(&rows), ints(&labels)).unwrap();
        assert_eq!(number(output.loss), number(alone));
    }
    let without = MetricObjectiveConfig::new(triplet()).init::<B>(&Default::default()).unwrap();
    let output = without.forward(tensor(&rows), ints(&[0, 0, 1, 1, 2])).unwrap();
    assert!(output.qare.is_none() && number(output.loss) == number(output.pairwise));
}

#[test]
fn half_precision_has_a_gradient_of_its_own_type() {
    use burn::tensor::{DType, FloatDType};

    let config = MetricObjectiveConfig::new(triplet()).with_qare(Some(QareConfig::new()));
    let objective = config.init::<Flex>(&Default::default()).unwrap();
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let z = tensor::<Flex>(&random_rows(6, 4, 6)).cast(dtype);
        let single = objective.forward(z.clone().cast(FloatDType::F32), ints(&[0, 0, 1, 1, 2, 2])).unwrap();
        let z = z.require_grad();
        let output = objective.forward(z.clone(), ints(&[0, 0, 1, 1, 2, 2])).unwrap();
        assert_eq!(output.loss.dtype(), DType::F32);
        assert_eq!(number(output.loss.clone()), number(single.loss));
        assert_eq!(z.grad(&output.loss.backward()).unwrap().dtype(), DType::from(dtype));
    }
}

#[test]
fn objectives_are_modules_and_check_their_numbers() {
    let config = MetricLossConfig::ProxyAnchor(ProxyAnchorConfig::new(4, 3));
    let objective = objective(config, QareConfig::new(), 0.5);
    assert_eq!(objective.num_params(), 12);
    let text = objective.to_string();
    for part in ["ProxyAnchor", "alpha: 32", "Qare", "beta: 0.5", "sets: 2"] {
        assert!(text.contains(part), "{text}");
    }
    // A gradient of the proxies comes from the same backward pass.
    let z = tensor::<B>(&random_rows(4, 3, 0)).require_grad();
    let MetricLoss::ProxyAnchor(loss) = &objective.loss else { panic!() };
    let proxies: Tensor<B, 2> = loss.proxies.val();
    let gradients = objective.forward(z.clone(), ints(&[0, 0, 3, 3])).unwrap().loss.backward();
    assert!(z.grad(&gradients).is_some() && proxies.grad(&gradients).is_some());

    let device = Default::default();
    let error = MetricObjectiveConfig::new(triplet()).with_beta(f64::NAN).init::<B>(&device).unwrap_err();
    assert_eq!(error.to_string(), "the weight beta is NaN: it has to be finite");
    let error = MetricObjectiveConfig::new(triplet()).with_sets(1).init::<B>(&device).unwrap_err();
    assert_eq!(error, ObjectiveError::TooFewViews { views: 1 });
}

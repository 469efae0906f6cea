//! Batches at the edge: without pairs, with rows that are equal, opposite, zero or no numbers, and calls that are wrong.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use qare::metric::*;
use qare::{ObjectiveError, SparseClrConfig};

use super::cases::{IDENTITIES, batch, evaluate_own, ints, losses_of};
use super::golden::losses;
use super::oracle::{self, Batch};
use crate::evaluation::{Flex, NdArray64, number, random_rows, scaled, tensor};

/// Value and gradients, all of them numbers.
fn finite(name: &str, config: &MetricLossConfig, batch: &Batch) -> (f64, f64) {
    let (value, gradients) = evaluate_own::<Flex>(config, batch).unwrap();
    let most =
        gradients.iter().flatten().flatten().fold(0.0f64, |most, g| if g.is_nan() { *g } else { most.max(g.abs()) });
    assert!(value.is_finite() && most.is_finite(), "{name} of {batch:?}: {value}, {gradients:?}");
    (value, most)
}

fn over_proxies(config: &MetricLossConfig) -> bool {
    use MetricLossConfig as Of;
    matches!(config, Of::ProxyAnchor(_) | Of::NormalizedSoftmax(_) | Of::ArcFace(_))
}

#[test]
fn without_pairs_losses_are_zero() {
    let one_row = batch(&[3], 4, 0);
    let no_positive = batch(&[3, 1, 0, 5, 2], 4, 1);
    let one_identity = batch(&[2, 2, 2, 2], 4, 2);
    for (name, config) in losses_of(&one_row).into_iter().filter(|(_, config)| !over_proxies(config)) {
        use MetricLossConfig as Of;
        let zero = |batch| finite(name, &config, batch) == (0.0, 0.0);
        assert!(zero(&one_row), "{name}");
        let draws = matches!(config, Of::TripletMargin(_) | Of::InfoNce(_) | Of::SupCon(_) | Of::SparseClr(_));
        assert_eq!(zero(&no_positive), draws, "{name} without a positive");
        let tells = matches!(config, Of::TripletMargin(_) | Of::InfoNce(_) | Of::SupCon(_));
        assert_eq!(zero(&one_identity), tells, "{name} of one identity");
    }
}

#[test]
fn rows_at_the_edge_have_a_loss() {
    let base = batch(&[0, 0, 1, 1, 2, 3], 4, 3);
    let mut equal = base.clone();
    equal.rows = vec![base.rows[0].clone(); 6];
    let mut opposite = base.clone();
    opposite.rows =
        (0..6).map(|row| scaled(&base.rows, |_| if row % 2 == 0 { 1.0 } else { -1.0 })[0].clone()).collect();
    let mut zero = base.clone();
    zero.rows[1] = vec![0.0; 4];
    zero.rows[4] = vec![0.0; 4];
    let mut all_zero = base.clone();
    all_zero.rows = vec![vec![0.0; 4]; 6];
    let mut tiny = base.clone();
    tiny.rows = scaled(&base.rows, |row| if row % 2 == 0 { 1e-30 } else { 1e30 });
    let mut nearly_equal = base.clone();
    nearly_equal.rows = scaled(&equal.rows, |row| 1.0 + 1e-7 * row as f64);
    let mut own = base.clone();
    own.rows = own.labels.iter().map(|label| base.proxies[*label as usize].clone()).collect();
    let mut against_own = own.clone();
    against_own.rows = scaled(&own.rows, |_| -1.0);
    let mut zero_proxies = base.clone();
    zero_proxies.proxies = vec![vec![0.0; 4]; IDENTITIES];
    let batches = [equal, opposite, zero, all_zero, tiny, nearly_equal, own, against_own, zero_proxies];
    for (at, batch) in batches.iter().enumerate() {
        for (name, config) in losses_of(batch) {
            let (value, _) = finite(&format!("{name}, batch {at}"), &config, batch);
            // What counts is up to rounding where rows are equal up to rounding. So it is for losses of distances where a row below the floor
            // under lengths is equally far from all others.
            let of_distances = name.starts_with("triplet") || name.starts_with("contrastive");
            if at != 5 && !(of_distances && [2, 4].contains(&at)) {
                let expected = oracle::value(&config, batch);
                // Logits are 64 times as far off as similarities of f32.
                assert!(
                    (value - expected).abs() <= 2e-5 * expected.abs().max(1.0),
                    "{name}, batch {at}: {value}, expected {expected}"
                );
            }
        }
    }
}

/// ArcFace's derivative by the similarity has a pole where a row is its own proxy; the gradient is that of a neighbourhood, or 0.
#[test]
fn arc_face_has_a_gradient_at_its_pole() {
    let mut batch = batch(&[0, 1, 2], 5, 9);
    let config = MetricLossConfig::ArcFace(ArcFaceConfig::new(IDENTITIES, 5).with_scale(4.0));
    for angle in [1e-2, 1e-3, 3e-4, 0.0] {
        let away = random_rows(3, 5, 10);
        batch.rows =
            (0..3).map(|row| batch.proxies[row].iter().zip(&away[row]).map(|(x, y)| x + angle * y).collect()).collect();
        let (value, gradients) = evaluate_own::<Flex>(&config, &batch).unwrap();
        let (exact, of_exact) = evaluate_own::<NdArray64>(&config, &batch).unwrap();
        assert!((value - exact).abs() <= 1e-5 * exact, "at {angle}: {value}, {exact}");
        for (found, exact) in gradients.iter().flatten().flatten().zip(of_exact.iter().flatten().flatten()) {
            // The sine of an angle a is off by 6e-8 in f32, and the direction of its gradient by that over a.
            let most = 4.0 * 6e-8 * 10.0 / f64::max(angle, 1e-4) + 1e-5;
            assert!((found - exact).abs() <= most, "at {angle}: {found}, {exact}");
        }
    }
}

#[test]
fn low_temperatures_and_large_scales_have_a_loss() {
    use MetricLossConfig as Of;
    let batch = batch(&[0, 0, 1, 1, 2, 3], 4, 4);
    let configs = [
        Of::InfoNce(InfoNceConfig { temperature: 1e-4 }),
        Of::SupCon(SupConConfig { temperature: 1e-4 }),
        Of::NtLogistic(NtLogisticConfig { temperature: 1e-4 }),
        Of::MultiSimilarity(MultiSimilarityConfig { alpha: 1e4, beta: 1e4, base: 0.1 }),
        Of::ProxyAnchor(ProxyAnchorConfig::new(IDENTITIES, 4).with_alpha(1e4)),
        Of::NormalizedSoftmax(NormalizedSoftmaxConfig::new(IDENTITIES, 4).with_temperature(1e-4)),
        Of::ArcFace(ArcFaceConfig::new(IDENTITIES, 4).with_scale(1e4)),
    ];
    for config in configs {
        let (value, _) = finite("cold", &config, &batch);
        let expected = oracle::value(&config, &batch);
        assert!((value - expected).abs() <= 1e-5 * expected.abs(), "{config:?}: {value}, expected {expected}");
    }
    let colder = Of::InfoNce(InfoNceConfig { temperature: 1e-39 });
    assert!(matches!(
        colder.init::<Flex>(&Default::default()).unwrap().forward(tensor(&batch.rows), ints(&batch.labels)),
        Err(ObjectiveError::Overflow { .. })
    ));
}

#[test]
fn what_has_no_loss_is_named() {
    for (name, config) in losses(IDENTITIES, 3) {
        let loss = config.init::<Flex>(&Default::default()).unwrap();
        let z = || tensor::<Flex>(&random_rows(4, 3, 0));
        let error = loss.forward(z(), ints(&[0, 1, 1])).unwrap_err();
        assert_eq!(error, ObjectiveError::LabelCount { labels: 3, rows: 4, quantity: "embeddings" }, "{name}");
        for broken in [f64::NAN, f64::INFINITY] {
            let mut rows = random_rows(4, 3, 0);
            rows[2][1] = broken;
            let error = loss.forward(tensor(&rows), ints(&[0, 0, 1, 1])).unwrap_err();
            assert!(error.to_string().starts_with("row 2 of the embeddings"), "{name}: {error}");
        }
        let pair = loss.forward_pair(z(), tensor(&random_rows(3, 3, 0)), ints(&[0; 4]));
        assert_eq!(pair.unwrap_err(), ObjectiveError::UnlikeViews { first: [4, 3], second: [3, 3] }, "{name}");
        if over_proxies(&config) {
            for (label, row) in [(-1, 1), (IDENTITIES as i64, 3)] {
                let mut labels = [0; 4];
                labels[row] = label;
                let expected = ObjectiveError::LabelOutOfRange { label, row, identities: IDENTITIES };
                assert_eq!(loss.forward(z(), ints(&labels)).unwrap_err(), expected, "{name}");
            }
            let error = loss.forward(tensor(&random_rows(4, 5, 0)), ints(&[0; 4])).unwrap_err();
            assert_eq!(error, ObjectiveError::UnlikeProxies { embeddings: [4, 5], proxies: [6, 3] }, "{name}");
        }
    }
    let loss = TripletMarginConfig::new().init().unwrap();
    let (z, references) = (tensor::<Flex>(&random_rows(4, 3, 0)), tensor(&random_rows(2, 5, 0)));
    let error = loss.forward_references(z.clone(), ints(&[0; 4]), references, ints(&[0; 2])).unwrap_err();
    assert_eq!(error, ObjectiveError::UnlikeReferences { embeddings: [4, 3], references: [2, 5] });
    let mut references = random_rows(2, 3, 0);
    references[1][0] = f64::NAN;
    let error = loss.forward_references(z, ints(&[0; 4]), tensor(&references), ints(&[0; 2])).unwrap_err();
    assert!(error.to_string().starts_with("row 1 of the reference embeddings"), "{error}");
    let none = Tensor::<Flex, 2>::zeros([0, 3], &Default::default());
    let error = loss.forward(none, Tensor::zeros([0], &Default::default())).unwrap_err();
    assert_eq!(error, ObjectiveError::NoRows { shape: [0, 3], quantity: "embeddings" });
    let mut arc_face = ArcFaceConfig::new(2, 3).init::<Flex>(&Default::default()).unwrap();
    arc_face.proxies = Param::from_tensor(tensor(&vec![vec![0.5; 3], vec![1.0, f64::NAN, 0.0]]));
    let error = arc_face.forward(tensor(&random_rows(2, 3, 0)), ints(&[0, 1])).unwrap_err();
    assert!(error.to_string().starts_with("proxy 1 "), "{error}");
}

#[test]
fn numbers_out_of_range_are_errors_of_init() {
    use MetricLossConfig as Of;
    let wrong = [f64::NAN, f64::INFINITY, -1.0];
    let configs = wrong.into_iter().flat_map(|wrong| {
        let multi_similarity = MultiSimilarityConfig::new;
        [
            Of::TripletMargin(TripletMarginConfig::new().with_margin(wrong)),
            Of::Contrastive(ContrastiveConfig::new().with_pos_margin(wrong)),
            Of::Contrastive(ContrastiveConfig::new().with_neg_margin(wrong)),
            Of::InfoNce(InfoNceConfig::new().with_temperature(wrong)),
            Of::SupCon(SupConConfig::new().with_temperature(wrong)),
            Of::NtLogistic(NtLogisticConfig::new().with_temperature(wrong)),
            Of::MultiSimilarity(multi_similarity().with_alpha(wrong)),
            Of::MultiSimilarity(multi_similarity().with_beta(wrong)),
            Of::ProxyAnchor(ProxyAnchorConfig::new(3, 2).with_alpha(wrong)),
            Of::NormalizedSoftmax(NormalizedSoftmaxConfig::new(3, 2).with_temperature(wrong)),
            Of::ArcFace(ArcFaceConfig::new(3, 2).with_scale(wrong)),
            Of::ArcFace(ArcFaceConfig::new(3, 2).with_margin_degrees(wrong)),
        ]
    });
    let others = [
        Of::MultiSimilarity(MultiSimilarityConfig::new().with_base(f64::NAN)),
        Of::SparseClr(SparseClrConfig::new().with_margin(f64::NAN)),
        Of::ProxyAnchor(ProxyAnchorConfig::new(3, 2).with_margin(f64::NAN)),
        Of::ProxyAnchor(ProxyAnchorConfig::new(0, 2)),
        Of::NormalizedSoftmax(NormalizedSoftmaxConfig::new(3, 0)),
        Of::ArcFace(ArcFaceConfig::new(3, 2).with_margin_degrees(180.0)),
    ];
    for config in configs.chain(others) {
        let error = config.init::<Flex>(&Default::default()).unwrap_err();
        assert!(matches!(error, ObjectiveError::InvalidParameter { .. }), "{config:?}: {error}");
    }
}

/// The losses are modules: those over proxies have parameters, and all print their numbers.
#[test]
fn losses_are_modules() {
    for (name, config) in losses(IDENTITIES, 3) {
        let loss = config.init::<Flex>(&Default::default()).unwrap();
        assert_eq!(loss.num_params(), if over_proxies(&config) { IDENTITIES * 3 } else { 0 }, "{name}");
        let (text, parameters) = (loss.to_string(), ["margin", "temperature", "alpha", "scale"]);
        assert!(parameters.iter().any(|parameter| text.contains(parameter)), "{text}");
        // As long as a proxy is drawn, it is of every length and direction.
        let z = tensor::<Flex>(&random_rows(4, 3, 0));
        assert!(number(loss.forward(z, ints(&[0, 0, 1, 5])).unwrap()).is_finite(), "{name}");
    }
}

//! Figures of pytorch-metric-learning 2.9, by `make_golden.py`.

use std::collections::BTreeMap;

use qare_retrieval::{LabelledRows, Summary, normalized_mutual_information, rank, rank_among_others};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    dim: usize,
    embeddings: Vec<f32>,
    labels: Vec<u32>,
    clusters: Vec<u32>,
    references: Option<Vec<f32>>,
    reference_labels: Option<Vec<u32>>,
    expected: BTreeMap<String, f64>,
}

#[test]
fn figures_equal_those_of_pytorch_metric_learning() {
    let cases: BTreeMap<String, Case> = serde_json::from_str(include_str!("../golden.json")).unwrap();
    assert!(cases.len() >= 9);
    for (name, case) in cases {
        let queries = LabelledRows::new(&case.embeddings, case.dim, &case.labels).unwrap();
        let figures = match (&case.references, &case.reference_labels) {
            (Some(values), Some(labels)) => {
                rank(&queries, &LabelledRows::new(values, case.dim, labels).unwrap()).unwrap()
            }
            _ => rank_among_others(&queries),
        };
        let summary = Summary::of(&figures).unwrap();
        let found = [
            ("precision_at_1", summary.recall_at(1)),
            ("r_precision", summary.r_precision),
            ("mean_average_precision_at_r", summary.map_at_r),
            ("mean_average_precision", summary.map),
            ("NMI", normalized_mutual_information(&case.labels, &case.clusters).unwrap()),
        ];
        assert_eq!(found.len(), case.expected.len(), "{name}");
        for (figure, found) in found {
            let expected = case.expected[figure];
            assert!((found - expected).abs() < 1e-12, "{name}, {figure}: {found} is not {expected}");
        }
        let lone = if case.references.is_some() { 2 } else { 3 };
        if ["uneven", "separate", "references"].contains(&&name[..]) {
            assert_eq!((summary.left_out, summary.queries), (lone, case.labels.len() - lone), "{name}");
        }
    }
}

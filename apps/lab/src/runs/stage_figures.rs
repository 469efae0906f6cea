//! The figures of a run's stages in `results.json`.

use serde_json::Value;

/// Where a stage keeps a figure in percent, and what the figure is called.
const FIGURES: [(&str, &str); 7] = [
    ("/test_accuracy", "test accuracy"),
    ("/accuracy", "accuracy"),
    ("/recall/1", RECALL_AT_1),
    ("/cmc/1", CMC_AT_1),
    ("/map", MAP),
    ("/map_at_r", MAP_AT_R),
    ("/r_precision", "R-precision"),
];

/// Recall@1 of retrieval.
pub const RECALL_AT_1: &str = "Recall@1";
/// CMC@1 of re-identification.
pub const CMC_AT_1: &str = "CMC@1";
/// Mean average precision over all images found.
pub const MAP: &str = "mAP";
/// Mean average precision over the R nearest images, R the number of images of the query's class.
pub const MAP_AT_R: &str = "MAP@R";

/// Returns the names and values, in percent, of the figures that a stage has.
pub fn stage_figures(stage: &Value) -> Vec<(&'static str, f64)> {
    let found = FIGURES.iter().map(|(place, name)| (*name, stage.pointer(place).and_then(Value::as_f64)));
    found.filter_map(|(name, percent)| Some((name, percent?))).collect()
}

/// Returns a figure of a stage by its name, in percent.
pub fn stage_figure(stage: &Value, name: &str) -> Option<f64> {
    stage_figures(stage).into_iter().find(|(known, _)| *known == name).map(|(_, percent)| percent)
}

/// Returns the share of queries in percent whose nearest image is of their class: Recall@1, or CMC@1 of re-identification.
pub fn at_1(retrieval: &Value) -> Option<f64> {
    stage_figure(retrieval, RECALL_AT_1).or_else(|| stage_figure(retrieval, CMC_AT_1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_have_the_names_of_the_field() {
        let retrieval =
            json!({ "recall": { "1": 75.0, "10": 90.0 }, "map": 60, "map_at_r": 50.5, "nmi": 40.0, "queries": 9 });
        assert_eq!(stage_figures(&retrieval), [(RECALL_AT_1, 75.0), (MAP, 60.0), (MAP_AT_R, 50.5)]);
        assert_eq!((at_1(&retrieval), stage_figure(&retrieval, CMC_AT_1)), (Some(75.0), None));
        assert_eq!(at_1(&json!({ "cmc": { "1": 30.5 } })), Some(30.5));
        assert_eq!(stage_figures(&json!({ "test_accuracy": 61.5, "accuracy": null })), [("test accuracy", 61.5)]);
        assert!(stage_figures(&Value::Null).is_empty() && at_1(&Value::Null).is_none());
    }
}

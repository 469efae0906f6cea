//! The figures of a run's stages in `results.json`.

use serde_json::Value;

/// Where a stage keeps a figure in percent, and what the figure is called. The first [`HEADLINES`] are what a stage is judged by.
const FIGURES: [(&str, &str); 7] = [
    ("/test_accuracy", "test accuracy"),
    ("/accuracy", "accuracy"),
    ("/recall/1", RECALL_AT_1),
    ("/cmc/1", CMC_AT_1),
    ("/map", MAP),
    ("/map_at_r", MAP_AT_R),
    ("/r_precision", "R-precision"),
];

const HEADLINES: usize = 4;

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
    FIGURES.iter().filter_map(|(place, name)| Some((*name, stage.pointer(place)?.as_f64()?))).collect()
}

/// Returns a figure of a stage by its name, in percent.
pub fn stage_figure(stage: &Value, name: &str) -> Option<f64> {
    stage_figures(stage).into_iter().find(|(known, _)| *known == name).map(|(_, percent)| percent)
}

/// Returns what a stage is judged by, in percent: its accuracy; of retrieval Recall@1, and of re-identification CMC@1.
pub fn headline(stage: &Value) -> Option<f64> {
    FIGURES[..HEADLINES].iter().find_map(|(place, _)| stage.pointer(place)?.as_f64())
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
        assert_eq!((headline(&retrieval), stage_figure(&retrieval, CMC_AT_1)), (Some(75.0), None));
        assert_eq!(headline(&json!({ "cmc": { "1": 30.5 } })), Some(30.5));
        // Searched at other numbers of images.
        assert_eq!(headline(&json!({ "recall": { "10": 90.0 }, "map": 60.0 })), None);
        assert_eq!(stage_figures(&json!({ "test_accuracy": 61.5, "accuracy": null })), [("test accuracy", 61.5)]);
        assert!(stage_figures(&Value::Null).is_empty() && headline(&Value::Null).is_none());
    }
}

//! Metrics of burn-train for the dashboard.

use std::sync::Arc;

use burn_train::metric::state::{FormatOptions, NumericMetricState};
use burn_train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry, SerializedEntry,
};

use crate::methods::{Figure, Validating};
use crate::training::live::LiveFigure;
use crate::training::step::{StepFigures, ValidationOutput};

/// A metric that reads one number from the figures of each step, and its mean over the epoch. NaN stands for no number.
#[derive(Clone)]
pub struct FigureMetric<T> {
    name: MetricName,
    unit: Option<&'static str>,
    precision: usize,
    higher_is_better: bool,
    read: Arc<dyn Fn(&T) -> f64 + Send + Sync>,
    state: NumericMetricState,
    /// Whether the value is the mean over the epoch so far, because not all steps have a number.
    is_mean: bool,
    /// What the last number was shown as.
    last: SerializedEntry,
}

impl<T> FigureMetric<T> {
    fn new(
        name: &str,
        precision: usize,
        higher_is_better: bool,
        read: impl Fn(&T) -> f64 + Send + Sync + 'static,
    ) -> Self {
        let (name, read) = (Arc::new(name.to_string()), Arc::new(read));
        let (state, last) = (NumericMetricState::new(), SerializedEntry::new(String::new(), String::new()));
        Self { name, unit: None, precision, higher_is_better, read, state, is_mean: false, last }
    }
}

/// Name of the metric of the loss.
pub const LOSS: &str = "Loss";
/// Name of the metric of the training speed.
pub const VIEWS_PER_SECOND: &str = "Views/s";
/// Name of Burn's metric of the learning rate.
pub const LEARNING_RATE: &str = "Learning Rate";
/// Name of the metric of the validation, except in metric learning.
pub const KNN_ACCURACY: &str = "kNN accuracy";
/// Name of the metric of the validation in metric learning.
pub const RECALL_AT_1: &str = "Recall@1";

/// Returns the metric of the loss.
pub fn loss() -> FigureMetric<StepFigures> {
    FigureMetric::new(LOSS, 4, false, |figures: &StepFigures| figures.loss)
}

/// Returns the metric of a figure of the method, given its index in the plan.
pub fn of_method(index: usize, figure: &Figure) -> FigureMetric<StepFigures> {
    let read = move |figures: &StepFigures| figures.method.get(index).copied().unwrap_or(f64::NAN);
    let metric = FigureMetric::new(figure.name, figure.precision, figure.higher_is_better, read);
    FigureMetric { unit: figure.unit, ..metric }
}

/// Returns the metric of a figure while it trains, which is the mean over the samples of the epoch so far. It is NaN before the first one.
pub fn live(figure: LiveFigure) -> FigureMetric<StepFigures> {
    let read = move |figures: &StepFigures| figures.live.get(figure).unwrap_or(f64::NAN);
    let Figure { name, unit, precision, higher_is_better } = figure.figure();
    FigureMetric { unit, is_mean: true, ..FigureMetric::new(name, precision, higher_is_better, read) }
}

/// Returns the metric of a figure that is computed after each epoch.
pub fn live_after_epoch(figure: LiveFigure) -> FigureMetric<ValidationOutput> {
    let read = move |output: &ValidationOutput| output.live.get(figure).unwrap_or(f64::NAN);
    let Figure { name, unit, precision, higher_is_better } = figure.figure();
    FigureMetric { unit, ..FigureMetric::new(name, precision, higher_is_better, read) }
}

/// Returns the number of decimal places of a metric of a figure while it trains, given its name. `None` for other metrics.
pub fn precision_of_live(name: &str) -> Option<usize> {
    LiveFigure::ALL.map(LiveFigure::figure).iter().find(|figure| figure.name == name).map(|figure| figure.precision)
}

/// Returns the metric of the training speed in views per second.
pub fn views_per_second() -> FigureMetric<StepFigures> {
    FigureMetric::new(VIEWS_PER_SECOND, 0, true, |figures: &StepFigures| figures.views_per_second)
}

/// Returns the metric of the score of the held-out images.
pub fn score(kind: Validating) -> FigureMetric<ValidationOutput> {
    let name = match kind {
        Validating::Neighbours => KNN_ACCURACY,
        Validating::Recall => RECALL_AT_1,
    };
    let metric = FigureMetric::new(name, 2, true, |output: &ValidationOutput| output.score);
    FigureMetric { unit: Some("%"), ..metric }
}

/// A value with this number of decimal places; in scientific notation if they would all be 0. Burn writes 0 and negative values so, too.
fn decimal(value: f64, precision: usize) -> String {
    match value != 0.0 && value.abs() < 0.1f64.powi(precision as i32) {
        true => format!("{value:.precision$e}"),
        false => format!("{value:.precision$}"),
    }
}

impl<T: Clone + Send + Sync> Metric for FigureMetric<T> {
    type Input = T;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        let unit = self.unit.map(str::to_string);
        NumericAttributes { unit, higher_is_better: self.higher_is_better }.into()
    }

    fn update(&mut self, item: &T, _metadata: &MetricMetadata) -> SerializedEntry {
        let value = (self.read)(item);
        if !self.is_mean || !value.is_nan() {
            let SerializedEntry { serialized, .. } = self.state.update(value, 1, FormatOptions::new(self.name()));
            let mean = self.state.running_value().current();
            let unit = self.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
            let [mean, value] = [mean, value].map(|value| decimal(value, self.precision));
            self.last = SerializedEntry::new(format!("epoch {mean}{unit} - batch {value}{unit}"), serialized);
        }
        self.last.clone()
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl<T: Clone + Send + Sync> Numeric for FigureMetric<T> {
    fn value(&self) -> NumericEntry {
        if self.is_mean { self.state.running_value() } else { self.state.current_value() }
    }

    fn running_value(&self) -> NumericEntry {
        self.state.running_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_places_until_none_is_left() {
        let cases = [(0.0, "0.000"), (-3.0304, "-3.030"), (0.012, "0.012"), (-0.0004, "-4.000e-4"), (12.5, "12.500")];
        for (value, text) in cases {
            assert_eq!(decimal(value, 3), text);
        }
        assert_eq!((decimal(0.0, 0), decimal(0.4, 0), decimal(f64::NAN, 1)), ("0".into(), "4e-1".into(), "NaN".into()));
    }
}

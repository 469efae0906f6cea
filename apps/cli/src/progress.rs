//! Training progress without the dashboard: a progress bar in a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use burn_train::metric::{MetricAttributes, MetricDefinition, MetricId};
use burn_train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use qare_lab::progress::{Progress, Work, duration};
use qare_lab::training::metrics::{LEARNING_RATE, VIEWS_PER_SECOND, precision_of_live};

use crate::output::print_line;
use crate::terminal::can_draw_bars;

/// Interval between two plain lines within an epoch.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// A progress bar on standard error; hidden if standard error is no terminal.
pub fn bar(length: u64, template: &str) -> ProgressBar {
    let target = if can_draw_bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).expect("the template is valid").progress_chars("=> ");
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}

/// The bar of the library's current work, if there is any.
static BAR: Mutex<Option<(Work, ProgressBar)>> = Mutex::new(None);

/// Shows the progress of work in the library.
pub fn show(progress: Progress<'_>) {
    let Progress { work, done, total, figure } = progress;
    let mut shown = BAR.lock().expect("no holder panics");
    if shown.as_ref().is_none_or(|(of, _)| *of != work) {
        let template = match work {
            Work::ReadingImages => "reading images [{bar:25}] {pos}/{len}",
            Work::ProbeEpochs => "probe epoch {pos}/{len} [{bar:25}] {msg}, {eta} left",
        };
        *shown = Some((work, bar(total as u64, template)));
    }
    let Some((_, bar)) = shown.as_ref() else { return };
    bar.set_length(total as u64);
    bar.set_position(done as u64);
    if !figure.is_empty() {
        bar.set_message(figure.to_string());
    }
    if done == total {
        bar.finish_and_clear();
        *shown = None;
    }
}

/// Removes the bar of work that ended early.
pub fn clear() {
    if let Some((_, bar)) = BAR.lock().expect("no holder panics").take() {
        bar.finish_and_clear();
    }
}

/// A renderer that prints the dashboard's metrics as text: their means over the epoch so far, and the time left.
pub struct PlainProgress {
    names: HashMap<MetricId, String>,
    /// Names of metrics in percent.
    percents: Vec<String>,
    /// Sum and count of each metric in this epoch, in order of arrival.
    sums: Vec<(String, f64, usize)>,
    validation: Vec<(String, f64)>,
    epoch: usize,
    bar: ProgressBar,
    started: Instant,
    /// Fraction of the run that was done before this process started.
    done_before: f64,
    last_line: Instant,
}

impl PlainProgress {
    /// Progress of a run that continues after `epochs_done` of `epochs`.
    pub fn new(epochs_done: usize, epochs: usize) -> Self {
        Self {
            names: HashMap::new(),
            percents: Vec::new(),
            sums: Vec::new(),
            validation: Vec::new(),
            epoch: 0,
            bar: bar(1, "{prefix} [{bar:25}] {msg}"),
            started: Instant::now(),
            done_before: epochs_done as f64 / epochs as f64,
            last_line: Instant::now(),
        }
    }

    fn name(&self, id: &MetricId) -> String {
        self.names.get(id).cloned().unwrap_or_default()
    }

    fn figures(&self) -> String {
        let means = self.sums.iter().map(|(name, sum, count)| (name.as_str(), sum / *count as f64));
        let means = means.chain(self.validation.iter().map(|(name, value)| (name.as_str(), *value)));
        means
            .map(|(name, value)| format!("{} {}", name.to_lowercase(), self.figure(name, value)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn figure(&self, name: &str, value: f64) -> String {
        let unit = if self.percents.iter().any(|percent| percent == name) { " %" } else { "" };
        match (name, precision_of_live(name), unit) {
            (VIEWS_PER_SECOND, ..) => format!("{value:.0}"),
            (LEARNING_RATE, ..) => format!("{value:.2e}"),
            (_, Some(precision), unit) => format!("{value:.precision$}{unit}"),
            (_, None, "") => format!("{value:.4}"),
            (_, None, unit) => format!("{value:.2}{unit}"),
        }
    }

    fn time_left(&self, done: f64) -> String {
        let (here, elapsed) = (done - self.done_before, self.started.elapsed().as_secs_f64());
        if here > 0.0 { duration(elapsed * (1.0 - done) / here) } else { "?".into() }
    }
}

impl MetricsRendererTraining for PlainProgress {
    fn update_train(&mut self, state: MetricState) {
        let MetricState::Numeric(entry, value) = state else { return };
        let name = self.name(&entry.metric_id);
        // Before the first sample of an epoch, a figure has no value.
        if value.current().is_nan() && precision_of_live(&name).is_some() {
            return;
        }
        // The value is already the mean over the samples so far.
        if precision_of_live(&name).is_some() {
            self.sums.retain(|(known, ..)| *known != name);
            self.sums.push((name, value.current(), 1));
            return;
        }
        match self.sums.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, sum, count)) => {
                *sum += value.current();
                *count += 1;
            }
            None => self.sums.push((name, value.current(), 1)),
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if let MetricState::Numeric(entry, value) = state
            && !value.current().is_nan()
        {
            self.validation.push((self.name(&entry.metric_id), value.current()));
        }
    }

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        let Some(items) = item.progress else { return };
        let (epoch, epochs) = (item.global_progress.items_processed, item.global_progress.items_total);
        self.epoch = epoch;
        let share = items.items_processed as f64 / items.items_total.max(1) as f64;
        let done = (epoch as f64 - 1.0 + share) / epochs as f64;
        let prefix = format!("epoch {epoch}/{epochs}");
        let message = format!("{}, {} left", self.figures(), self.time_left(done));
        if !self.bar.is_hidden() {
            self.bar.set_length(items.items_total as u64);
            self.bar.set_prefix(prefix);
            self.bar.set_position(items.items_processed as u64);
            self.bar.set_message(message);
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            print_line(format!("{prefix} {:3.0} %: {message}", 100.0 * share));
        }
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        let epochs = item.global_progress.items_total;
        let left = self.time_left(self.epoch as f64 / epochs as f64);
        let line = format!("epoch {}/{epochs}: {}, {left} left", self.epoch, self.figures());
        self.bar.suspend(|| print_line(line));
        self.sums.clear();
        self.validation.clear();
        self.last_line = Instant::now();
    }

    fn on_train_end(
        &mut self,
        _summary: Option<burn_train::LearnerSummary>,
    ) -> std::result::Result<(), Box<dyn std::error::Error>> {
        self.bar.finish_and_clear();
        Ok(())
    }
}

impl MetricsRendererEvaluation for PlainProgress {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for PlainProgress {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        if let MetricAttributes::Numeric(attributes) = &definition.attributes
            && attributes.unit.as_deref() == Some("%")
        {
            self.percents.push(definition.name.clone());
        }
        self.names.insert(definition.metric_id, definition.name);
    }
}

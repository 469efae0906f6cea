//! Burn's dashboard, adapted so that Ctrl-C works, the accuracy is shown first, and training keeps the processor.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::Duration;

use burn_train::metric::{MetricDefinition, MetricEntry, MetricId, SerializedEntry};
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use burn_train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use burn_train::{Interrupter, LearnerSummary};

#[cfg(unix)]
use crate::terminal::{SavedSettings, restore_on_signal};
use qare_lab::training::metrics::{KNN_ACCURACY, RECALL_AT_1};

/// The user killed the training from the dashboard's menu.
pub struct Killed;

/// The message that burn-train panics with when the user kills the training.
const KILL_MESSAGE: &str = "Killing training from user input";

static KILLED: AtomicBool = AtomicBool::new(false);

/// A renderer that wraps Burn's dashboard.
pub struct Dashboard {
    inner: TuiMetricsRendererWrapper,
    #[cfg(unix)]
    _settings: SavedSettings,
}

/// The longest wait for the dashboard's thread to switch the terminal to raw mode.
#[cfg(unix)]
const RAW_MODE_TIMEOUT: Duration = Duration::from_secs(2);

impl Dashboard {
    /// Opens the dashboard of a run that continues after `epochs_done` epochs.
    pub fn open(interrupter: Interrupter, epochs_done: usize) -> Self {
        #[cfg(unix)]
        let settings = SavedSettings::save();
        #[cfg(unix)]
        restore_on_signal();
        let inner = TuiMetricsRendererWrapper::new(interrupter, (epochs_done > 0).then_some(epochs_done));
        #[cfg(target_os = "linux")]
        lower_renderer_priority();
        #[cfg(unix)]
        settings.enable_signals(RAW_MODE_TIMEOUT);
        Self {
            inner,
            #[cfg(unix)]
            _settings: settings,
        }
    }
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.inner.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        let (id, name) = (definition.metric_id.clone(), definition.name.clone());
        self.inner.register_metric(definition);
        if [KNN_ACCURACY, RECALL_AT_1].contains(&name.as_str()) {
            // The dashboard orders metrics by their first value, and a small terminal shows only two of them. A text value
            // now puts the accuracy first.
            let text = "after the first epoch".to_string();
            self.inner.update_valid(MetricState::Generic(entry(id, text)));
        }
    }
}

/// Whether a metric has a value: figures of the representation have none before the first sample of an epoch, and plots cannot show NaN.
fn has_value(state: &MetricState) -> bool {
    match state {
        MetricState::Numeric(_, value) => !value.current().is_nan(),
        MetricState::Generic(_) => true,
    }
}

/// A metric entry with a text as its value.
fn entry(id: MetricId, text: String) -> MetricEntry {
    MetricEntry::new(id, SerializedEntry::new(text.clone(), text))
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        if has_value(&state) {
            self.inner.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if has_value(&state) {
            self.inner.update_valid(state);
        }
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner.render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner.render_valid(item, indicators);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.inner.on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.inner.update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.inner.render_test(item, indicators);
    }
}

/// Gives the dashboard's thread the lowest priority. It polls without a pause and would otherwise take a core from
/// training.
#[cfg(target_os = "linux")]
fn lower_renderer_priority() {
    // The thread sets its name only once it runs.
    for _ in 0..100 {
        if let Some(id) = renderer_thread() {
            // SAFETY: the call takes three integers; if it fails, the priority is unchanged.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, id, 19) };
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The system's id of the thread that draws the dashboard.
#[cfg(target_os = "linux")]
fn renderer_thread() -> Option<libc::id_t> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let named = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "train-renderer")
    };
    threads.filter(|thread| named(&thread.path())).find_map(|thread| thread.file_name().to_str()?.parse().ok())
}

/// Runs a training and returns [`Killed`] if the user kills it from the dashboard.
///
/// burn-train panics on a kill, first in one thread and then in those that wait for it. The messages of these panics are
/// not printed. Any other panic is resumed.
pub fn catch_kill<R>(training: impl FnOnce() -> R) -> Result<R, Killed> {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.contains(KILL_MESSAGE)) {
            KILLED.store(true, Ordering::SeqCst);
        }
        if !KILLED.load(Ordering::SeqCst) {
            report(panic);
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(training));
    result.map_err(|panic| if KILLED.load(Ordering::SeqCst) { Killed } else { resume_unwind(panic) })
}

//! Burn's dashboard, with its rougher edges taken off.

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
use crate::terminal::{KeptSettings, give_back_when_killed};
use qare_lab::training::metrics::KNN_ACCURACY;

/// Somebody chose to kill the training, in the dashboard's menu.
pub struct Killed;

/// What burn-train panics with then.
const KILL: &str = "Killing training from user input";

static KILLED: AtomicBool = AtomicBool::new(false);

/// Burn's dashboard, in which Ctrl-C works, and the accuracy stands first.
pub struct Dashboard {
    burns: TuiMetricsRendererWrapper,
    #[cfg(unix)]
    _kept: KeptSettings,
}

/// How long the dashboard's thread may take to get the terminal.
#[cfg(unix)]
const TO_OPEN: Duration = Duration::from_secs(2);

impl Dashboard {
    /// The dashboard of a run that goes on after `epochs_done` epochs.
    pub fn open(interrupter: Interrupter, epochs_done: usize) -> Self {
        #[cfg(unix)]
        let kept = KeptSettings::note();
        #[cfg(unix)]
        give_back_when_killed();
        let burns = TuiMetricsRendererWrapper::new(interrupter, (epochs_done > 0).then_some(epochs_done));
        #[cfg(target_os = "linux")]
        yield_to_training();
        #[cfg(unix)]
        kept.let_signals_through(TO_OPEN);
        Self {
            burns,
            #[cfg(unix)]
            _kept: kept,
        }
    }
}

impl MetricsRenderer for Dashboard {
    fn manual_close(&mut self) {
        self.burns.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        let (id, name) = (definition.metric_id.clone(), definition.name.clone());
        self.burns.register_metric(definition);
        if name == KNN_ACCURACY {
            // Metrics stand in the order in which they first have a value, and a small terminal shows the first two.
            let text = "after the first epoch".to_string();
            self.burns.update_valid(MetricState::Generic(entry(id, text)));
        }
    }
}

/// A metric whose value is a text.
fn entry(id: MetricId, text: String) -> MetricEntry {
    MetricEntry::new(id, SerializedEntry::new(text.clone(), text))
}

impl MetricsRendererTraining for Dashboard {
    fn update_train(&mut self, state: MetricState) {
        self.burns.update_train(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.burns.update_valid(state);
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.burns.render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.burns.render_valid(item, indicators);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.burns.on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for Dashboard {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.burns.update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.burns.render_test(item, indicators);
    }
}

/// Gives the dashboard's thread the lowest priority. It polls without a pause, and on a machine with few cores would
/// take one of them from training.
#[cfg(target_os = "linux")]
fn yield_to_training() {
    // The thread names itself, once it runs.
    for _ in 0..100 {
        if let Some(id) = renderer_thread() {
            // SAFETY: takes three numbers; at worst it fails, and the thread stays as it is.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, id, 19) };
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The system's number of the thread that draws.
#[cfg(target_os = "linux")]
fn renderer_thread() -> Option<libc::id_t> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let named = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "train-renderer")
    };
    threads.filter(|thread| named(&thread.path())).find_map(|thread| thread.file_name().to_str()?.parse().ok())
}

/// Runs a training. Killing it from the dashboard is a panic of burn-train's in one thread, and of whatever then misses
/// that thread: those are kept quiet, and told from panics of any other kind.
pub fn until_killed<R>(training: impl FnOnce() -> R) -> Result<R, Killed> {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|message| message.contains(KILL)) {
            KILLED.store(true, Ordering::SeqCst);
        }
        if !KILLED.load(Ordering::SeqCst) {
            report(panic);
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(training));
    result.map_err(|panic| match KILLED.load(Ordering::SeqCst) {
        true => Killed,
        false => resume_unwind(panic),
    })
}

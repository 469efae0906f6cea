//! TensorBoard's events. The numbers of fields are those of `event.proto`, `summary.proto` and, for the hyperparameters,
//! `plugins/hparams/plugin_data.proto`.

use super::message::Message;

/// How a session of the hyperparameters ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All epochs are trained.
    Success = 1,
}

/// A hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Yes or no.
    Bool(bool),
}

/// Returns the first event of a file.
pub fn version(time: f64) -> Vec<u8> {
    Message::new().double(1, time).bytes(3, "brain.Event:2").into_bytes()
}

/// Returns the event that a process starts at a step: TensorBoard then forgets what earlier files say about this step and later ones.
pub fn start(time: f64, step: usize) -> Vec<u8> {
    const START: u64 = 1;
    Message::new().double(1, time).int(2, step as u64).message(7, &Message::new().int(1, START)).into_bytes()
}

/// Returns the event of the values of some scalars at a step.
pub fn scalars(time: f64, step: usize, values: impl IntoIterator<Item = (String, f64)>) -> Vec<u8> {
    let summary = values.into_iter().fold(Message::new(), |summary, (tag, value)| {
        summary.message(1, &Message::new().bytes(1, tag).float(2, value as f32))
    });
    Message::new().double(1, time).int(2, step as u64).message(5, &summary).into_bytes()
}

/// Returns the event that names the hyperparameters of a run.
pub fn session_start(time: f64, name: &str, settings: &[(String, Setting)]) -> Vec<u8> {
    let settings = settings.iter().fold(Message::new(), |info, (name, setting)| {
        let value = match setting {
            Setting::Number(value) => Message::new().double(2, *value),
            Setting::Text(text) => Message::new().bytes(3, text),
            Setting::Bool(value) => Message::new().int(4, u64::from(*value)),
        };
        info.message(1, &Message::new().bytes(1, name).message(2, &value))
    });
    let info = settings.bytes(4, name).double(5, time);
    hyperparameters(time, "_hparams_/session_start_info", &Message::new().message(3, &info))
}

/// Returns the event that a run has ended.
pub fn session_end(time: f64, status: Status) -> Vec<u8> {
    let info = Message::new().int(1, status as u64).double(2, time);
    hyperparameters(time, "_hparams_/session_end_info", &Message::new().message(4, &info))
}

/// An event of the plugin of hyperparameters, whose data is metadata of an empty tensor.
fn hyperparameters(time: f64, tag: &str, content: &Message) -> Vec<u8> {
    const FLOAT: u64 = 1;
    let plugin = Message::new().bytes(1, "hparams").message(2, content);
    let metadata = Message::new().message(1, &plugin);
    let shape = Message::new().message(2, &Message::new());
    let tensor = Message::new().int(1, FLOAT).message(2, &shape);
    let value = Message::new().bytes(1, tag).message(8, &tensor).message(9, &metadata);
    Message::new().double(1, time).message(5, &Message::new().message(1, &value)).into_bytes()
}

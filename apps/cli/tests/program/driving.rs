//! Runs the program and inspects the files that it writes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use safetensors::SafeTensors;
use serde_json::Value;

/// Whether two trainings of one recipe give bitwise equal weights.
pub const EXACT: bool = cfg!(any(feature = "flex", feature = "ndarray"));

/// A call of the program with arguments.
pub fn qare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qare"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

/// A call on the dataset `shapes` with two steps per epoch, which takes a fraction of a second.
pub fn tiny(command: &str, out: &Path) -> Command {
    let mut command = qare(&[command, "--dataset", "shapes", "--train-images", "16", "--data-size", "8", "--no-tui"]);
    command.arg("--out").arg(out);
    command
}

/// The run folder of [`tiny`] with the default settings.
pub fn tiny_folder(out: &Path) -> RunFolder {
    RunFolder(out.join("sparseclr_qare_shapes_conv4_8_64_64_1.0_1.0"))
}

/// Trains a tiny run for a number of epochs.
pub fn tiny_run(out: &Path, epochs: usize) -> RunFolder {
    succeeds(tiny("pretrain", out).args(["--epochs", &epochs.to_string()]));
    tiny_folder(out)
}

/// Runs a command, asserts that it succeeds, and returns its standard output.
#[track_caller]
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{command:?}\n{:?}\n{out}\n{err}", output.status);
    out
}

/// Runs a command, asserts that it fails with this exit code and a single message that contains `words`, and returns the message.
#[track_caller]
pub fn fails(command: &mut Command, code: i32, words: &[&str]) -> String {
    let output = command.output().expect("the program starts");
    let (_, message) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{message}");
    assert!(message.starts_with("error: "), "{command:?}\n{message}");
    assert_eq!(message.matches("error: ").count(), 1, "more than one message: {message}");
    for forbidden in ["panicked", "RUST_BACKTRACE"] {
        assert!(!message.contains(forbidden), "{command:?}\n{message}");
    }
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    message
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A path as an argument.
pub fn text<P: AsRef<Path> + ?Sized>(path: &P) -> &str {
    path.as_ref().to_str().expect("test folders have plain names")
}

/// The value of `--device` for the first device.
pub fn first_device() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let listed = succeeds(&mut qare(&["devices"]));
        let first = listed.lines().nth(1).and_then(|line| line.trim().strip_prefix("--device "));
        first.and_then(|line| line.split_whitespace().next()).expect("a device").to_string()
    })
}

/// Tensors of a weights file by name: dtype and shape as text, and the bytes.
pub type Tensors = BTreeMap<String, (String, Vec<u8>)>;

pub fn tensors(file: &Path) -> Tensors {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let entry = |(name, tensor): (String, safetensors::tensor::TensorView)| {
        (name, (format!("{:?}{:?}", tensor.dtype(), tensor.shape()), tensor.data().to_vec()))
    };
    file.tensors().into_iter().map(entry).collect()
}

/// Asserts that two weights files hold the same names and, where training is exact, the same shapes and bits.
#[track_caller]
pub fn assert_same_weights(one: &Path, other: &Path) {
    let (one, other) = (tensors(one), tensors(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let different: Vec<&String> = one.keys().filter(|name| EXACT && one[*name] != other[*name]).collect();
    assert!(different.is_empty(), "these tensors differ: {different:?}");
}

/// The folder of a run.
pub struct RunFolder(pub PathBuf);

impl RunFolder {
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The weights of an epoch of a `sparseclr_qare` run on shapes with conv4 and seed 1.
    pub fn weights(&self, epoch: usize) -> PathBuf {
        self.file(&format!("sparseclr_qare_shapes_conv4_seed_1_epoch_{epoch}.safetensors"))
    }

    pub fn optimizer(&self, epoch: usize) -> PathBuf {
        self.weights(epoch).with_extension("optimizer")
    }

    pub fn results(&self) -> Value {
        serde_json::from_str(&self.read("results.json")).expect("JSON")
    }

    pub fn recipe(&self) -> toml::Table {
        self.read("recipe.toml").parse().expect("TOML")
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The latest whole epoch, if there is one.
    pub fn latest_epoch(&self) -> Option<u64> {
        let latest: Value = serde_json::from_str(&fs::read_to_string(self.file("latest.json")).ok()?).expect("JSON");
        latest["epoch"].as_u64()
    }

    /// Turns a run of two epochs into one that was stopped after the first.
    pub fn go_back_to_epoch_1(&self) {
        fs::remove_file(self.weights(2)).unwrap();
        fs::remove_file(self.optimizer(2)).unwrap();
        fs::remove_file(self.file("results.json")).unwrap();
        let latest = self.read("latest.json").replace("epoch_2", "epoch_1").replace("\"epoch\": 2", "\"epoch\": 1");
        fs::write(self.file("latest.json"), latest).unwrap();
        let log = self.read("log.csv");
        fs::write(self.file("log.csv"), log.lines().take(2).map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        assert_eq!(self.latest_epoch(), Some(1));
    }

    pub fn names(&self) -> Vec<String> {
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(&self.0).unwrap().map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// The lines of `log.csv` without the columns of times.
    pub fn log_without_times(&self) -> Vec<String> {
        let without_times = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            fields[..fields.len() - 2].join(",")
        };
        self.read("log.csv").lines().map(without_times).collect()
    }
}

/// All files, with their bytes, and folders below a folder.
#[derive(PartialEq)]
pub struct Snapshot(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Snapshot {
    pub fn of(folder: &Path) -> Self {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let bytes = if path.is_dir() { None } else { Some(fs::read(&path).unwrap()) };
                if bytes.is_none() {
                    folders.push(path.clone());
                }
                found.insert(path, bytes);
            }
        }
        Self(found)
    }

    /// Asserts that no file or folder was added, removed or changed since.
    #[track_caller]
    pub fn assert_unchanged(&self, folder: &Path) {
        let now = Self::of(folder);
        let paths = self.0.keys().chain(now.0.keys());
        let changed: Vec<_> = paths.filter(|path| self.0.get(*path) != now.0.get(*path)).collect();
        assert!(changed.is_empty(), "changed: {changed:?}");
    }

    /// Asserts that a file has not changed since.
    #[track_caller]
    pub fn assert_file_unchanged(&self, file: &Path) {
        assert!(self.0[file] == Some(fs::read(file).unwrap()), "{} has changed", file.display());
    }
}

/// Asserts that no partly written file is left.
#[track_caller]
pub fn assert_nothing_half_written(folder: &Path) {
    let snapshot = Snapshot::of(folder);
    let left: Vec<_> = snapshot.0.keys().filter(|path| path.extension() == Some(OsStr::new("part"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

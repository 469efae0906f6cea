//! The program in a pseudo-terminal: dashboard, Ctrl-C, terminals without escape codes, and output that cannot be written.
#![cfg(unix)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::driving::{qare, tiny, tiny_folder};

/// A program in a terminal of 80×24.
struct InTerminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl InTerminal {
    fn start(call: &mut Command, kind: Option<&str>) -> Self {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the pointers are valid until the call returns, and name and settings may be null.
        let made = unsafe {
            libc::openpty(
                &mut master,
                &mut slave,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw const size).cast_mut(),
            )
        };
        assert_eq!(made, 0, "no terminal");
        // SAFETY: both descriptors are open and owned here only.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let end = || Stdio::from(slave.try_clone().unwrap());
        call.stdin(end()).stdout(end()).stderr(end());
        match kind {
            Some(kind) => call.env("TERM", kind),
            None => call.env_remove("TERM"),
        };
        // SAFETY: the closure makes two system calls, which are allowed between fork and exec.
        unsafe {
            call.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
                Ok(())
            })
        };
        let child = call.spawn().unwrap();
        // The command would otherwise keep the terminal open.
        call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, written) = (master.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails once the program has ended.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                written.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keys: master, screen }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    #[track_caller]
    fn wait_for(&self, what: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !what(&self.text()) {
            assert!(started.elapsed() < Duration::from_secs(100), "timed out; the screen holds:\n{}", self.text());
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the program to end and its output to be read, and returns the exit code.
    fn code(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        sleep(Duration::from_millis(100));
        status.code()
    }
}

const CTRL_C: u8 = 3;
const ALTERNATE_SCREEN: (&str, &str) = ("\x1b[?1049h", "\x1b[?1049l");

/// A training that does not end by itself.
fn endless(out: &std::path::Path) -> Command {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "64", "--batch-size", "8"]);
    call.args(["--epochs", "100000"]).arg("--out").arg(out);
    call
}

#[test]
fn ctrl_c_in_the_dashboard_stops_after_a_step_and_restores_the_terminal() {
    let out = tempdir().unwrap();
    let mut terminal = InTerminal::start(&mut endless(out.path()), Some("xterm-256color"));
    terminal.wait_for(|text| text.contains(ALTERNATE_SCREEN.0));
    let run = tiny_folder(out.path());
    let started = Instant::now();
    while run.latest_epoch().is_none() {
        assert!(started.elapsed() < Duration::from_secs(100), "no progress");
        sleep(Duration::from_millis(5));
    }
    terminal.press(CTRL_C);
    assert_eq!(terminal.code(), Some(1));
    let text = terminal.text();
    let after = text.rsplit_once(ALTERNATE_SCREEN.1).expect("the screen is left").1;
    assert!(after.contains("error: interrupted") && after.contains("--resume"), "{after}");
    assert!(text.contains("stopping after this step"), "no note in the dashboard");
}

#[test]
fn the_accuracy_is_visible_in_a_small_terminal() {
    let out = tempdir().unwrap();
    let mut terminal = InTerminal::start(&mut endless(out.path()), Some("xterm-256color"));
    // The dashboard draws cell by cell, but adjacent cells together.
    terminal.wait_for(|text| text.contains("kNN accuracy") && text.contains("Valid"));
    terminal.press(CTRL_C);
    terminal.code();
}

#[test]
fn a_terminal_without_escape_codes_gets_plain_lines() {
    for kind in [Some("dumb"), None] {
        let out = tempdir().unwrap();
        let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "16", "--batch-size", "8"]);
        call.args(["--epochs", "2"]).arg("--out").arg(out.path());
        let mut terminal = InTerminal::start(&mut call, kind);
        assert_eq!(terminal.code(), Some(0));
        let text = terminal.text();
        assert!(text.contains("epoch 2/2: loss") && !text.contains('\x1b'), "{kind:?}: {text:?}");
    }
}

#[test]
fn commands_that_only_print_fail_if_output_cannot_be_written() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["list"][..], &["devices"], &["--help"], &["pretrain", "--help"], &["--version"]] {
        let output = qare(arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.starts_with("error: cannot write to standard output"), "{arguments:?}: {message}");
    }
    // A training's result is its run folder.
    let out = tempdir().unwrap();
    let output = tiny("pretrain", out.path()).args(["--epochs", "1"]).stdout(full()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("note: cannot write to standard output"), "{output:?}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let mut child = qare(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

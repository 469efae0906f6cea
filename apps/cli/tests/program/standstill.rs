//! A run that stands still at a line of its output, however fast the machine is: its standard output is a pipe without room for more.

use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A run whose output is not read.
pub struct Standstill {
    child: Child,
    output: PipeReader,
}

impl Standstill {
    /// Starts a run that can write so many bytes to standard output. At the line that does not fit it waits: see [`up_to`].
    pub fn start(call: &mut Command, room: usize) -> Self {
        let (output, writer) = with_room(room);
        let child = call.stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
        // The pipe ends with the program, and not with this command.
        call.stdout(Stdio::piped());
        Self { child, output }
    }

    /// Waits until it has come so far.
    pub fn wait_for(&mut self, what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(self.child.try_wait().unwrap().is_none(), "the run ended by itself");
            assert!(started.elapsed() < Duration::from_secs(100), "no progress");
            sleep(Duration::from_millis(1));
        }
    }

    /// Ends it where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Interrupts it as Ctrl-C does, waits until it has said that it will stop, and lets it go on; its exit code, and all that it says
    /// on standard error.
    pub fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("there is a command").success());
        let mut errors = BufReader::new(self.child.stderr.take().expect("it is piped"));
        let mut message = String::new();
        while !message.contains("stopping after this step") {
            assert_ne!(errors.read_line(&mut message).expect("text"), 0, "it ends without a word: {message}");
        }
        std::io::copy(&mut self.output, &mut std::io::sink()).expect("a pipe can be read");
        errors.read_to_string(&mut message).expect("text");
        (self.child.wait().unwrap().code(), message)
    }
}

/// Bytes of output up to the end of the line that begins with this, and half of the next one: figures of other runs have
/// more or fewer digits.
pub fn up_to(output: &str, line: &str) -> usize {
    let start = output.find(line).unwrap_or_else(|| panic!("no line begins with `{line}`: {output}"));
    let end = start + output[start..].find('\n').expect("a whole line") + 1;
    end + output[end..].find('\n').expect("another line") / 2
}

/// A pipe that takes so many bytes until somebody reads.
fn with_room(room: usize) -> (PipeReader, PipeWriter) {
    let (_unread, mut other) = pipe().expect("a pipe");
    // SAFETY: it is an open file, and the flag takes no memory.
    assert_ne!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, -1);
    let mut capacity = 0;
    loop {
        match other.write(&[b'.'; 512]) {
            Ok(written) => capacity += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("a pipe cannot be filled: {error}"),
        }
    }
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&vec![b'\n'; capacity.checked_sub(room).expect("a pipe has room for more")]).expect("it fits");
    (reader, writer)
}

//! What the terminal can do, and Ctrl-C in it while Burn's dashboard has it.

use std::io::IsTerminal;

/// Whether standard output is a terminal that a dashboard can be drawn on.
pub fn can_draw() -> bool {
    std::io::stdout().is_terminal() && understands_codes()
}

/// Whether standard error is a terminal that a bar can be drawn on.
pub fn can_draw_bars() -> bool {
    std::io::stderr().is_terminal() && understands_codes()
}

/// Whether the terminal moves its cursor when told to. One of no type, or of type `dumb`, prints the codes instead.
fn understands_codes() -> bool {
    cfg!(windows) || std::env::var("TERM").is_ok_and(|name| moves_cursor(&name))
}

fn moves_cursor(name: &str) -> bool {
    !matches!(name, "" | "dumb" | "unknown")
}

#[cfg(unix)]
pub use signals::KeptSettings;

#[cfg(unix)]
mod signals {
    use std::io::Write;
    use std::mem::MaybeUninit;
    use std::sync::{Mutex, Once};
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    /// The terminal as it was, while the dashboard has it.
    static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

    /// Ends the alternate screen, shows the cursor.
    const LEAVE: &[u8] = b"\x1b[?1049l\x1b[?25h";

    /// The settings of a terminal before a dashboard changes them.
    pub struct KeptSettings(());

    impl KeptSettings {
        /// Notes how the terminal is set.
        pub fn note() -> Self {
            *BEFORE.lock().expect("no holder panics") = settings();
            Self(())
        }

        /// Lets Ctrl-C be a signal again, which raw mode makes a key that the dashboard ignores. Waits for raw mode, which
        /// another thread sets, so long at most.
        pub fn let_signals_through(&self, patience: Duration) {
            let started = Instant::now();
            while let Some(mut raw) = settings() {
                if raw.c_lflag & libc::ISIG == 0 {
                    raw.c_lflag |= libc::ISIG;
                    // Only Ctrl-C: Ctrl-Z and Ctrl-\ would leave the shell a terminal in raw mode.
                    for key in [libc::VSUSP, libc::VQUIT] {
                        raw.c_cc[key] = DISABLED;
                    }
                    return set(&raw);
                }
                if started.elapsed() > patience {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Drop for KeptSettings {
        fn drop(&mut self) {
            *BEFORE.lock().expect("no holder panics") = None;
        }
    }

    /// What a control character is set to where no key sends it.
    const DISABLED: libc::cc_t = 0;

    /// Whether a dashboard has the terminal.
    pub fn is_taken() -> bool {
        BEFORE.lock().expect("no holder panics").is_some()
    }

    /// Says something on the last line of a dashboard, which draws only what changes and leaves it there.
    pub fn say_below(words: &str) {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\x1b7\x1b[999;1H\x1b[7m {words} \x1b[0m\x1b8").and_then(|()| out.flush());
    }

    /// Gives the terminal back as it was, before the program ends at once.
    pub fn give_back() {
        if let Some(before) = BEFORE.lock().expect("no holder panics").take() {
            // The dashboard's thread may hold the lock of standard output: the codes go past it.
            // SAFETY: writes bytes that live for ever, to a descriptor that may be anything.
            unsafe { libc::write(libc::STDOUT_FILENO, LEAVE.as_ptr().cast(), LEAVE.len()) };
            set(&before);
        }
    }

    /// Has the terminal given back before a signal ends the program, from now on.
    pub fn give_back_when_killed() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Without them a signal leaves the terminal as the dashboard has it, and that is all.
            let Ok(mut signals) = Signals::new([SIGTERM, SIGHUP]) else { return };
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    give_back();
                    let _ = emulate_default_handler(signal);
                }
            });
        });
    }

    fn settings() -> Option<libc::termios> {
        let mut found = MaybeUninit::uninit();
        // SAFETY: the pointer is to room for the settings, which are only read once they have been filled in.
        unsafe { (libc::tcgetattr(libc::STDIN_FILENO, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }
    }

    fn set(settings: &libc::termios) {
        // SAFETY: the pointer is to whole settings; at worst the call fails, and the terminal stays as it is.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings) };
    }
}

#[cfg(unix)]
pub use signals::{give_back, give_back_when_killed, is_taken, say_below};

#[cfg(test)]
mod tests {
    use super::moves_cursor;

    #[test]
    fn terminals_without_codes_are_known() {
        assert_eq!(["xterm-256color", "screen", "dumb", ""].map(moves_cursor), [true, true, false, false]);
    }
}

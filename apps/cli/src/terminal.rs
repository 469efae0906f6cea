//! The terminal's abilities, and its settings while Burn's dashboard is open.

use std::io::IsTerminal;

/// Whether the dashboard can be drawn on standard output.
pub fn can_draw() -> bool {
    std::io::stdout().is_terminal() && interprets_escape_codes()
}

/// Whether a progress bar can be drawn on standard error.
pub fn can_draw_bars() -> bool {
    std::io::stderr().is_terminal() && interprets_escape_codes()
}

/// Whether the terminal interprets escape codes. A terminal without a type, or of type `dumb`, prints them.
fn interprets_escape_codes() -> bool {
    cfg!(windows) || std::env::var("TERM").is_ok_and(|name| moves_cursor(&name))
}

fn moves_cursor(name: &str) -> bool {
    !matches!(name, "" | "dumb" | "unknown")
}

#[cfg(unix)]
pub use signals::SavedSettings;

#[cfg(unix)]
mod signals {
    use std::io::Write;
    use std::mem::MaybeUninit;
    use std::sync::{Mutex, Once};
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    /// The terminal's settings before the dashboard opened, while it is open.
    static SAVED: Mutex<Option<libc::termios>> = Mutex::new(None);

    /// Escape codes that leave the alternate screen and show the cursor.
    const LEAVE_SCREEN: &[u8] = b"\x1b[?1049l\x1b[?25h";

    /// Holds the terminal's settings while a dashboard is open.
    pub struct SavedSettings(());

    impl SavedSettings {
        /// Saves the terminal's current settings.
        pub fn save() -> Self {
            *SAVED.lock().expect("no holder panics") = settings();
            Self(())
        }

        /// Makes Ctrl-C send a signal again; in raw mode it is a key, which the dashboard ignores.
        ///
        /// Waits at most `timeout` for the dashboard's thread to set raw mode.
        pub fn enable_signals(&self, timeout: Duration) {
            let started = Instant::now();
            while let Some(mut raw) = settings() {
                if raw.c_lflag & libc::ISIG == 0 {
                    raw.c_lflag |= libc::ISIG;
                    // Ctrl-Z and Ctrl-\ stay disabled: they would leave the shell in raw mode.
                    for key in [libc::VSUSP, libc::VQUIT] {
                        raw.c_cc[key] = DISABLED;
                    }
                    return set(&raw);
                }
                if started.elapsed() > timeout {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Drop for SavedSettings {
        fn drop(&mut self) {
            *SAVED.lock().expect("no holder panics") = None;
        }
    }

    /// The value of a control character that no key sends.
    const DISABLED: libc::cc_t = 0;

    /// Whether a dashboard is open.
    pub fn dashboard_is_open() -> bool {
        SAVED.lock().expect("no holder panics").is_some()
    }

    /// Shows a message on the terminal's last line. The dashboard redraws only what changes, so the message stays.
    pub fn show_on_last_line(message: &str) {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\x1b7\x1b[999;1H\x1b[7m {message} \x1b[0m\x1b8").and_then(|()| out.flush());
    }

    /// Restores the terminal's settings if a dashboard is open. Called before the program exits at once.
    pub fn restore() {
        if let Some(saved) = SAVED.lock().expect("no holder panics").take() {
            // Written without the lock of standard output, which the dashboard's thread may hold.
            // SAFETY: the bytes are static, and `write` accepts any descriptor.
            unsafe { libc::write(libc::STDOUT_FILENO, LEAVE_SCREEN.as_ptr().cast(), LEAVE_SCREEN.len()) };
            set(&saved);
        }
    }

    /// Makes SIGTERM and SIGHUP restore the terminal before they end the program.
    pub fn restore_on_signal() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Without the handler, a signal only leaves the terminal in the dashboard's mode.
            let Ok(mut signals) = Signals::new([SIGTERM, SIGHUP]) else { return };
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    restore();
                    let _ = emulate_default_handler(signal);
                }
            });
        });
    }

    fn settings() -> Option<libc::termios> {
        let mut found = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes, and the settings are read only after the call has filled them in.
        unsafe { (libc::tcgetattr(libc::STDIN_FILENO, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }
    }

    fn set(settings: &libc::termios) {
        // SAFETY: the pointer is to initialised settings; if the call fails, the terminal is unchanged.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings) };
    }
}

#[cfg(unix)]
pub use signals::{dashboard_is_open, restore, restore_on_signal, show_on_last_line};

#[cfg(test)]
mod tests {
    use super::moves_cursor;

    #[test]
    fn terminals_without_escape_codes_are_known() {
        assert_eq!(["xterm-256color", "screen", "dumb", ""].map(moves_cursor), [true, true, false, false]);
    }
}

//! Ctrl-C: the first one stops a training between two steps.

use std::sync::Mutex;

use burn_train::Interrupter;

/// The interrupter of the current training, if there is one.
static TRAINING: Mutex<Option<Interrupter>> = Mutex::new(None);

/// Exit code of a program that Ctrl-C ended, by the convention of shells.
const INTERRUPTED: i32 = 130;

/// Lets the first Ctrl-C stop the training between two steps, and a second one end the program at once.
pub fn stop_on_ctrl_c(interrupter: &Interrupter) {
    *TRAINING.lock().expect("nothing panics here") = Some(interrupter.clone());
    // A process has one handler, so this fails for a second training, which the first handler serves too.
    let _ = ctrlc::set_handler(|| {
        let training = TRAINING.lock().expect("nothing panics here");
        match training.as_ref().filter(|interrupter| !interrupter.should_stop()) {
            Some(interrupter) => {
                show("stopping after this step; Ctrl-C again to stop at once");
                interrupter.stop(Some("Ctrl-C"));
            }
            None => {
                #[cfg(unix)]
                crate::terminal::restore();
                std::process::exit(INTERRUPTED)
            }
        }
    });
}

/// Shows a message in the dashboard if one is open, and else on standard error.
fn show(message: &str) {
    #[cfg(unix)]
    if crate::terminal::dashboard_is_open() {
        return crate::terminal::show_on_last_line(message);
    }
    crate::output::eprint_line(message);
}

/// Lets Ctrl-C end the program again.
pub fn training_has_ended() {
    *TRAINING.lock().expect("nothing panics here") = None;
}

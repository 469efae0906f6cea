//! Ctrl-C.

use std::sync::Mutex;

use burn_train::Interrupter;

/// Of the training that is going on, if one is.
static TRAINING: Mutex<Option<Interrupter>> = Mutex::new(None);

/// What a shell expects of a program that ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// From now on the first Ctrl-C stops training between two steps, a second one at once.
pub fn stop_on_ctrl_c(interrupter: &Interrupter) {
    *TRAINING.lock().expect("nothing panics here") = Some(interrupter.clone());
    // A process has one handler: of a second training, it is this one still.
    let _ = ctrlc::set_handler(|| {
        let training = TRAINING.lock().expect("nothing panics here");
        match training.as_ref().filter(|interrupter| !interrupter.should_stop()) {
            Some(interrupter) => {
                tell("stopping after this step; Ctrl-C again to stop at once");
                interrupter.stop(Some("Ctrl-C"));
            }
            None => {
                #[cfg(unix)]
                crate::terminal::give_back();
                std::process::exit(INTERRUPTED)
            }
        }
    });
}

/// Says something to whoever pressed Ctrl-C, in the dashboard if there is one.
fn tell(words: &str) {
    #[cfg(unix)]
    if crate::terminal::is_taken() {
        return crate::terminal::say_below(words);
    }
    crate::output::complain(words);
}

/// From now on Ctrl-C ends the program again.
pub fn training_has_ended() {
    *TRAINING.lock().expect("nothing panics here") = None;
}

//! Libraries that panic where others return an error.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// What a call comes to. A panic in it is not reported: what it says, if it says something, is the error.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Option<String>> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    set_hook(hook);
    outcome.map_err(|panic| panic.downcast_ref::<String>().cloned())
}

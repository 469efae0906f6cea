//! Catches panics of libraries that panic instead of returning an error.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// Runs a call and returns its value, or the message of its panic, which is not printed.
///
/// The error is `None` if the panic has no message.
pub fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, Option<String>> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    set_hook(hook);
    outcome.map_err(|panic| panic.downcast_ref::<String>().cloned())
}

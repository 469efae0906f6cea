//! Turns panics of decoders into errors: a damaged file may trigger a bug.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use qare_printable::printable;

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is decoding an image file. A panic then becomes an error, and a panic hook need not report it.
pub fn is_decoding() -> bool {
    DECODING.get()
}

/// The result of `decode`, or an error if it panics.
pub(crate) fn caught<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = DECODING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(before);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let reason = printable(text.unwrap_or("no reason given"));
        Err(format!("it is damaged in a way that its decoder does not foresee: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_why() {
        let nested = caught(|| {
            assert!(is_decoding());
            let inner: Result<(), String> = caught(|| panic!("index {} out of bounds", 7));
            assert!(is_decoding(), "the outer one goes on");
            inner
        });
        assert_eq!(
            nested.unwrap_err(),
            "it is damaged in a way that its decoder does not foresee: index 7 out of bounds"
        );
        assert!(!is_decoding());
        assert_eq!(caught(|| Ok(3)), Ok(3));
    }
}

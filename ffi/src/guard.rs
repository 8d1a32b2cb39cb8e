//! The one place where errors become codes and where a panic stops: unwinding into C would abort the host.

use crate::status::{procs_status, store};
use procs::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

const _: () = assert!(cfg!(panic = "unwind"), "the boundary catches panics, so they must unwind");

/// Runs the body of an exported function; an error or panic becomes its code and the thread's last error.
pub(crate) fn guard(operation: &'static str, body: impl FnOnce() -> Result<()>) -> procs_status {
    // Unwind safety: objects are behind locks whose poison is ignored because each update leaves them whole.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => procs_status::PROCS_OK,
        Ok(Err(error)) => store(error),
        Err(panic) => store(Error::new(ErrorKind::Panic, operation, format!("internal error: {}", text(&*panic)))),
    }
}

/// Runs the body of an exported function that returns its value directly; an error or panic becomes `default` and the last error.
pub(crate) fn guard_value<T>(operation: &'static str, default: T, body: impl FnOnce() -> Result<T>) -> T {
    let mut value = default;
    guard(operation, || {
        value = body()?;
        Ok(())
    });
    value
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_a_code() {
        // Unwinds as a panic does, without the hook that would print it.
        assert_eq!(guard("test", || std::panic::resume_unwind(Box::new("asked for"))), procs_status::PROCS_E_PANIC);
        assert_eq!(guard("test", || Ok(())), procs_status::PROCS_OK);
        assert_eq!(guard_value("test", 7, || panic!("again")), 7);
    }
}

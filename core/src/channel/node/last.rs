//! The last messages of a process: what was accepted and is not written when it ends by itself is written then.
//!
//! The native wire does not need this: what is in a ring survives its writer.

use super::endpoint::Inner;
use crate::deadline::Deadline;
use crate::sys::exit::at_exit;
use crate::sys::fork::PerProcess;
use parking_lot::Mutex;
use std::panic::catch_unwind;
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

/// How long the end of a process waits for others to read, all together.
const PATIENCE: Duration = Duration::from_secs(5);

static OPEN: PerProcess<Mutex<Vec<Weak<Inner>>>> = PerProcess::new();
static REGISTER: Once = Once::new();

/// Remembers an endpoint until it is gone.
pub(super) fn remember(inner: &Arc<Inner>) {
    REGISTER.call_once(|| {
        // Without a place the end of the process waits for nothing, as it would if it were killed.
        at_exit(write_all);
    });
    let mut open = OPEN.get().lock();
    open.retain(|inner| inner.strong_count() > 0);
    open.push(Arc::downgrade(inner));
}

extern "C" fn write_all() {
    // Nobody is left who could be told of a failure.
    let _ = catch_unwind(|| {
        let deadline = Deadline::after(PATIENCE);
        // A thread that ends the process may be inside of a call.
        let Some(open) = OPEN.get().try_lock_for(PATIENCE).map(|open| open.clone()) else { return };
        for inner in open.iter().filter_map(Weak::upgrade) {
            inner.write_to_the_end(deadline);
        }
    });
}

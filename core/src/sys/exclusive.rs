//! A value that only its owner reaches, so that what holds it can be shared between threads.

use std::fmt;

/// A `T` behind a shared reference to which there is no way: to use it takes the value, or a reference to it that nobody shares.
pub(crate) struct Exclusive<T>(T);

// SAFETY: nothing of `T` can be reached through a shared reference, so threads that share one share nothing of it.
unsafe impl<T> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Exclusive<T> {
        Exclusive(value)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

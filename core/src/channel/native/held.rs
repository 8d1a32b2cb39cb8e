//! A lock with something to do after it was given up.

use parking_lot::MutexGuard;
use std::ops::{Deref, DerefMut};

/// The lock of a `T`. When it is given up `after` is dropped, which tells others of it.
#[derive(Debug)]
pub(super) struct Held<'a, T, A> {
    guard: MutexGuard<'a, T>,
    /// Below the lock, for fields are dropped in their order.
    #[expect(dead_code, reason = "its drop is what it is for")]
    after: A,
}

impl<'a, T, A> Held<'a, T, A> {
    #[inline]
    pub(super) fn new(guard: MutexGuard<'a, T>, after: A) -> Held<'a, T, A> {
        Held { guard, after }
    }
}

impl<T, A> Deref for Held<'_, T, A> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T, A> DerefMut for Held<'_, T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

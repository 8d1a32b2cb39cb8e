//! Options that few commands set: no memory is touched for them before one is.

use std::ops::{Deref, DerefMut};

/// A type whose value before anything is set is known at compile time.
pub(crate) trait Standard: Sized + 'static {
    /// That value.
    const STANDARD: Self;
    /// The same, to look at.
    const STANDARD_REF: &'static Self;
}

/// A `T` that is `T::STANDARD` until it is first changed.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    /// The standard value.
    pub(crate) const fn new() -> Rare<T> {
        Rare(None)
    }

    /// The value, if it was ever touched.
    pub(crate) fn touched(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// As above, to change it.
    pub(crate) fn touched_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Standard> Rare<T> {
    /// Makes a change, unless it sets what holds anyway (`differs` is false) and nothing was set before.
    pub(crate) fn change(&mut self, differs: bool, change: impl FnOnce(&mut T)) {
        if differs || self.0.is_some() {
            change(self);
        }
    }

    /// The value itself.
    pub(crate) fn into_inner(self) -> T {
        self.0.map_or(T::STANDARD, |value| *value)
    }
}

impl<T> From<T> for Rare<T> {
    fn from(value: T) -> Rare<T> {
        Rare(Some(Box::new(value)))
    }
}

impl<T: Clone> Clone for Rare<T> {
    fn clone(&self) -> Rare<T> {
        Rare(self.0.clone())
    }
}

impl<T: Standard> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::STANDARD_REF)
    }
}

impl<T: Standard> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::STANDARD))
    }
}

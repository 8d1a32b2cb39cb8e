//! What keeps an environment's event loop alive: as long as somebody holds it.

use std::cell::{Cell, OnceCell};

/// Counts who holds the loop.
#[derive(Default)]
pub(crate) struct Keeper {
    holds: Cell<u32>,
    /// Keeps the loop alive, or lets it end.
    keep: OnceCell<Box<dyn Fn(bool)>>,
}

impl Keeper {
    /// Says once how the loop is kept alive.
    pub(crate) fn by(&self, keep: impl Fn(bool) + 'static) {
        let _ = self.keep.set(Box::new(keep));
    }

    /// One more holds it, or one less.
    pub(crate) fn change(&self, more: bool) {
        let before = self.holds.get();
        let after = if more { before + 1 } else { before.saturating_sub(1) };
        self.holds.set(after);
        if (before == 0) != (after == 0)
            && let Some(keep) = self.keep.get()
        {
            keep(more);
        }
    }
}

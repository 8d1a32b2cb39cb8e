//! What keeps an environment's event loop alive: as long as somebody holds it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

type Keep = Box<dyn Fn(bool)>;

/// Counts who holds the loop.
#[derive(Default)]
pub(crate) struct Keeper {
    holds: Cell<u32>,
    /// Keeps the loop alive, or lets it end; nothing once the environment ends.
    keep: RefCell<Option<Keep>>,
}

impl Keeper {
    /// Says how the loop is kept alive.
    pub(crate) fn begin(&self, keep: impl Fn(bool) + 'static) {
        self.keep.replace(Some(Box::new(keep)));
    }

    /// The environment ends: whoever holds the loop from now on holds nothing.
    pub(crate) fn end(&self) {
        self.keep.take();
    }

    /// One more holds it, or one less.
    pub(crate) fn change(&self, more: bool) {
        let before = self.holds.get();
        let after = if more { before + 1 } else { before.saturating_sub(1) };
        self.holds.set(after);
        if (before == 0) != (after == 0)
            && let Some(keep) = &*self.keep.borrow()
        {
            keep(more);
        }
    }
}

/// Keeps the loop alive until it is dropped.
pub(crate) struct Hold(Rc<Keeper>);

impl Hold {
    pub(crate) fn new(keeper: &Rc<Keeper>) -> Hold {
        keeper.change(true);
        Hold(keeper.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.change(false);
    }
}

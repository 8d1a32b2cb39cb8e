//! The book-keeping of one segment: which blocks there are, and which of them nobody has any more.

use super::space::Space;
use super::table::Table;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// A segment and what this process alone knows about it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) table: Arc<Table>,
    /// Used by the creator only.
    pub(super) space: Space,
    /// Blocks that exist (creator) or that this process holds (others), by first page.
    pub(super) live: HashMap<u32, Live>,
    /// The table's count of returns when it was last looked through.
    seen: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) pages: u32,
    /// [`Block`](super::Block)s of this process.
    pub(super) own: u32,
}

impl Part {
    pub(super) fn new(table: Table) -> Part {
        let space = Space::new(table.plan.pages);
        Part { table: Arc::new(table), space, live: HashMap::new(), seen: 0 }
    }

    /// Frees a block if nobody has it any more.
    pub(super) fn settle(&mut self, index: u32) -> Result<()> {
        if let Some(live) = self.live.get(&index)
            && live.own == 0
            && !self.table.is_held(index)?
        {
            self.space.put(index, live.pages);
            self.live.remove(&index);
        }
        Ok(())
    }

    /// Frees what others gave back since the last call.
    pub(super) fn collect(&mut self) -> Result<()> {
        let returns = self.table.returns()?;
        if returns != self.seen {
            self.seen = returns;
            let mut found = Vec::new();
            self.table.take_returned(|index| found.push(index))?;
            found.into_iter().try_for_each(|index| self.settle(index))?;
        }
        Ok(())
    }

    /// Looks at every block: a process that was killed between giving back and saying so left no hint.
    pub(super) fn sweep(&mut self) -> Result<()> {
        let all: Vec<u32> = self.live.keys().copied().collect();
        all.into_iter().try_for_each(|index| self.settle(index))
    }
}

//! Which pages of a segment are free: known to the allocating process only, so no peer can spoil it.

use std::collections::BTreeMap;

/// Runs of free pages, by their first page; neighbours are always joined.
#[derive(Debug)]
pub(super) struct Space {
    runs: BTreeMap<u32, u32>,
}

impl Space {
    /// All pages of a segment.
    pub(super) fn new(pages: u32) -> Space {
        Space { runs: BTreeMap::from([(0, pages)]) }
    }

    /// Takes the first run that is long enough: low pages are used again and again and stay warm.
    pub(super) fn take(&mut self, pages: u32) -> Option<u32> {
        let (first, len) = self.runs.iter().find(|(_, len)| **len >= pages).map(|(first, len)| (*first, *len))?;
        self.runs.remove(&first);
        if len > pages {
            self.runs.insert(first + pages, len - pages);
        }
        Some(first)
    }

    /// Gives a run back.
    pub(super) fn put(&mut self, first: u32, pages: u32) {
        let (mut first, mut pages) = (first, pages);
        if let Some(next) = self.runs.remove(&(first + pages)) {
            pages += next;
        }
        if let Some((before, len)) = self.runs.range(..first).next_back().map(|(before, len)| (*before, *len))
            && before + len == first
        {
            first = before;
            pages += len;
        }
        self.runs.insert(first, pages);
    }

    /// Free pages.
    pub(super) fn free(&self) -> u32 {
        self.runs.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_whatever_the_order() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut space = Space::new(12);
            let taken: Vec<u32> = (0..3).map(|_| space.take(4).unwrap()).collect();
            assert_eq!(taken, [0, 4, 8]);
            assert_eq!(space.take(1), None);
            for index in order {
                space.put(taken[index], 4);
            }
            assert_eq!(space.take(12), Some(0), "order {order:?}");
        }
    }

    #[test]
    fn random_use_never_overlaps_or_loses_a_page() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut space = Space::new(512);
        let mut owned: Vec<(u32, u32)> = Vec::new();
        let mut used = [false; 512];
        for _ in 0..20_000 {
            let pages = next() as u32 % 40 + 1;
            if next() % 2 == 0
                && let Some(first) = space.take(pages)
            {
                for page in first..first + pages {
                    assert!(!std::mem::replace(&mut used[page as usize], true), "page {page} was handed out twice");
                }
                owned.push((first, pages));
            } else if !owned.is_empty() {
                let (first, pages) = owned.swap_remove(next() as usize % owned.len());
                used[first as usize..(first + pages) as usize].fill(false);
                space.put(first, pages);
            }
            assert_eq!(space.free() as usize, used.iter().filter(|used| !**used).count());
        }
    }
}

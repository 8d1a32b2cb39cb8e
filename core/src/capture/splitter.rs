//! Finding lines in blocks without copying them.

use crate::io::transfer::{BLOCK, CHUNK, line_feeds};
use std::ops::Range;

/// How the ends of lines are treated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Lines include their line feed.
    pub(super) keep: bool,
    /// A carriage return before the line feed belongs to the end of the line.
    pub(super) strip_cr: bool,
}

impl Ends {
    /// The line that begins at `start` and whose line feed is at `feed`.
    #[inline]
    fn line(self, data: &[u8], start: usize, feed: usize) -> Range<usize> {
        if self.keep {
            return start..feed + 1;
        }
        if self.strip_cr && feed > start && data[feed - 1] == b'\r' {
            return start..feed - 1;
        }
        start..feed
    }
}

/// Input that is handed out line by line.
///
/// `data[start..end]` is not handed out yet. Line feeds are looked for in blocks of 64 bytes: those found in the block at `base` and not
/// handed out are the bits of `feeds`, and everything before `scanned` was looked at. Only what is left of a line when the input is used up
/// is moved, to the front, so a line is usually not copied at all. The length of `data` is a multiple of the block.
pub(super) struct Splitter {
    data: Vec<u8>,
    start: usize,
    end: usize,
    scanned: usize,
    base: usize,
    feeds: u64,
}

impl Splitter {
    pub(super) fn new() -> Splitter {
        Splitter { data: vec![0; CHUNK], start: 0, end: 0, scanned: 0, base: 0, feeds: 0 }
    }

    /// The next whole line, as a range for [`Splitter::slice`].
    #[inline]
    pub(super) fn next(&mut self, ends: Ends) -> Option<Range<usize>> {
        while self.feeds == 0 {
            if !self.scan() {
                return None;
            }
        }
        let (start, feed) = (self.start, self.base + self.feeds.trailing_zeros() as usize);
        self.feeds &= self.feeds - 1;
        self.start = feed + 1;
        Some(ends.line(&self.data, start, feed))
    }

    /// Shows up to `max` whole lines and gives their number: what [`next`](Splitter::next) would give, in less time for many.
    #[inline]
    pub(super) fn each(&mut self, ends: Ends, max: usize, mut show: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < max && (self.feeds != 0 || self.scan()) {
            // The lines that end in this block, from registers.
            let (mut start, mut feeds) = (self.start, self.feeds);
            while feeds != 0 && count < max {
                let feed = self.base + feeds.trailing_zeros() as usize;
                show(&self.data[ends.line(&self.data, start, feed)]);
                feeds &= feeds - 1;
                start = feed + 1;
                count += 1;
            }
            (self.start, self.feeds) = (start, feeds);
        }
        count
    }

    /// Looks for line feeds in the next block; false when all was looked at.
    #[inline]
    fn scan(&mut self) -> bool {
        if self.scanned >= self.end {
            return false;
        }
        self.base = self.scanned - self.scanned % BLOCK;
        let Some(block) = self.data[self.base..].first_chunk::<BLOCK>() else {
            return false;
        };
        // Bytes before `scanned` were handed out, bytes from `end` on are left over from before.
        self.feeds = line_feeds(block) & (u64::MAX << (self.scanned - self.base));
        self.scanned = self.base + BLOCK;
        if self.scanned > self.end {
            self.feeds &= (1 << (self.end - self.base)) - 1;
            self.scanned = self.end;
        }
        true
    }

    /// Whether the next line is there without more input.
    pub(super) fn has_line(&self) -> bool {
        self.feeds != 0 || self.data[self.scanned..self.end].contains(&b'\n')
    }

    /// What follows the last line feed, once at end of file.
    pub(super) fn last(&mut self) -> Option<Range<usize>> {
        let rest = self.start..self.end;
        self.start = self.end;
        (!rest.is_empty()).then_some(rest)
    }

    /// The bytes of a range.
    #[inline]
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.data[range]
    }

    /// Room for more input, at least half a block: makes it by moving the unfinished line to the front, or by doubling for a long line.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            // Without pending line feeds everything was looked at.
            self.scanned = if self.feeds == 0 { self.scanned - self.start } else { 0 };
            self.feeds = 0;
            self.end -= self.start;
            self.start = 0;
        }
        if self.data.len() - self.end < CHUNK / 2 {
            let doubled = self.data.len() * 2;
            self.data.resize(doubled, 0);
        }
        &mut self.data[self.end..]
    }

    /// Notes that so many bytes were put into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }
}

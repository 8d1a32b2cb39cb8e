//! Finding lines in blocks without copying them.

use crate::io::transfer::CHUNK;
use std::ops::Range;

/// How the ends of lines are treated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Lines include their line feed.
    pub(super) keep: bool,
    /// A carriage return before the line feed belongs to the end of the line.
    pub(super) strip_cr: bool,
}

/// A block of input that is handed out line by line.
///
/// `data[start..end]` is not handed out yet; up to `scanned` it holds no line feed. Only what is left of a line at the end of a block is
/// moved, to the front of the next one, so each byte is copied at most once and a line usually not at all.
pub(super) struct Splitter {
    data: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
}

impl Splitter {
    pub(super) fn new() -> Splitter {
        Splitter { data: vec![0; CHUNK], start: 0, scanned: 0, end: 0 }
    }

    /// The next whole line, as a range for [`Splitter::slice`].
    #[inline]
    pub(super) fn next(&mut self, ends: Ends) -> Option<Range<usize>> {
        let found = memchr::memchr(b'\n', &self.data[self.scanned..self.end]);
        let Some(offset) = found else {
            self.scanned = self.end;
            return None;
        };
        let (start, feed) = (self.start, self.scanned + offset);
        self.start = feed + 1;
        self.scanned = feed + 1;
        if ends.keep {
            return Some(start..feed + 1);
        }
        if ends.strip_cr && feed > start && self.data[feed - 1] == b'\r' {
            return Some(start..feed - 1);
        }
        Some(start..feed)
    }

    /// Whether a whole line is there.
    pub(super) fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.data[self.scanned..self.end]).is_some()
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
            self.scanned -= self.start;
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

//! Calls: which of them wait for what. States only: nothing is sent, received or waited for here.
//!
//! ```text
//! caller                                    server
//! open(id) ── call ──────────────────────▶  waiting for a reply
//!    │     ◀─────────── reply-part* ──────  one credit each; stops at none
//!    │     ── credit ─────────────────────▶
//!    │     ◀─ reply | reply-end | error ──  done
//! forget(id) ── cancel ──────────────────▶  cancelled: what it replies is not sent
//! ```
//!
//! Each side numbers its own calls from 1 and never uses a number twice. What crosses a cancel on its way is taken and dropped.

use super::control::FailureBody;
use super::frame::{Fault, FrameKind};
use super::message::Message;
use crate::error::{Error, ErrorKind};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::task::Waker;

/// Parts that a server may send before the caller has taken any.
pub(crate) const WINDOW: u32 = 16;
/// Calls of one side that the other serves at once.
pub(crate) const MAX_OPEN: usize = 65_536;

type Checked<T> = std::result::Result<T, Fault>;

/// What the other side said about a call that failed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFailure {
    /// The name of the failure in the language of the other side, such as `"KeyError"`; may be empty.
    pub name: String,
    /// What it says.
    pub message: String,
    /// Where it happened, for people; may be empty.
    pub trace: String,
}

impl Error {
    /// What the other side of a channel said, where the error is its answer to a call.
    pub fn remote(&self) -> Option<&RemoteFailure> {
        self.payload()
    }
}

/// The error of a call for what came back instead of a reply.
fn remote_error(failure: FailureBody) -> Error {
    let FailureBody { kind, name, message, trace } = failure;
    let detail = if name.is_empty() { message.clone() } else { format!("{name}: {message}") };
    Error::new(kind, "channel.call", detail).with_payload(RemoteFailure { name, message, trace })
}

/// What a caller finds when it looks.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing yet.
    Pending,
    /// A reply or a part.
    Message(Message),
    /// Nothing more.
    End,
    Failed(Error),
}

#[derive(Debug)]
enum Ending {
    Done,
    Failed(Error),
}

#[derive(Debug, Default)]
struct Open {
    stream: bool,
    /// What came and was not taken.
    replies: VecDeque<Message>,
    /// Parts that the server may still send.
    credit: u32,
    /// Parts taken since credit was last given.
    taken: u32,
    ending: Option<Ending>,
    waker: Option<Waker>,
}

/// The calls that this side made.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    last: u64,
    open: HashMap<u64, Open>,
}

impl Calls {
    /// A new call and its number.
    pub(crate) fn open(&mut self, stream: bool) -> u64 {
        self.last += 1;
        let credit = if stream { WINDOW } else { 0 };
        self.open.insert(self.last, Open { stream, credit, ..Open::default() });
        self.last
    }

    /// Calls that wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn find(&mut self, kind: FrameKind, id: u64) -> Checked<Option<&mut Open>> {
        if id > self.last {
            return Err(Fault::protocol(format!("an answer to no call (kind = {}, id = {id}, last call = {})", kind.name(), self.last)));
        }
        // A call that was given up, or the rest of one whose end has come: dropped.
        Ok(self.open.get_mut(&id).filter(|open| open.ending.is_none()))
    }

    /// Takes a reply, a part or the end of parts; gives whom to wake.
    pub(crate) fn on_reply(&mut self, kind: FrameKind, id: u64, message: Option<Message>) -> Checked<Option<Waker>> {
        let Some(open) = self.find(kind, id)? else { return Ok(None) };
        if !open.stream && kind != FrameKind::Reply {
            return Err(Fault::protocol(format!("parts for a call that takes one reply (kind = {}, id = {id})", kind.name())));
        }
        if kind == FrameKind::ReplyPart {
            let left = open.credit.checked_sub(1);
            open.credit = left.ok_or_else(|| Fault::protocol(format!("more parts than the caller takes (id = {id}, credit = 0)")))?;
        } else {
            open.ending = Some(Ending::Done);
        }
        open.replies.extend(message);
        Ok(open.waker.take())
    }

    /// Takes the failure of a call; gives whom to wake.
    pub(crate) fn on_failure(&mut self, id: u64, failure: FailureBody) -> Checked<Option<Waker>> {
        let Some(open) = self.find(FrameKind::Error, id)? else { return Ok(None) };
        open.ending = Some(Ending::Failed(remote_error(failure)));
        Ok(open.waker.take())
    }

    /// What there is for the caller; the end removes the call. When there is nothing, `waker` will be woken.
    pub(crate) fn next(&mut self, id: u64, waker: Option<&Waker>) -> Step {
        let Some(open) = self.open.get_mut(&id) else { return Step::End };
        if let Some(message) = open.replies.pop_front() {
            open.taken += 1;
            if !open.stream {
                self.open.remove(&id);
            }
            return Step::Message(message);
        }
        match open.ending.take() {
            Some(ending) => {
                self.open.remove(&id);
                match ending {
                    Ending::Done => Step::End,
                    Ending::Failed(error) => Step::Failed(error),
                }
            }
            None => {
                open.waker = waker.cloned();
                Step::Pending
            }
        }
    }

    /// Credit to send for this call, once half of the window was taken.
    pub(crate) fn credit_due(&mut self, id: u64) -> Option<u32> {
        let open = self.open.get_mut(&id).filter(|open| open.stream && open.ending.is_none() && open.taken >= WINDOW / 2)?;
        let due = std::mem::take(&mut open.taken);
        open.credit += due;
        Some(due)
    }

    /// Gives a call up; true when the server must be told.
    pub(crate) fn forget(&mut self, id: u64) -> bool {
        self.open.remove(&id).is_some_and(|open| open.ending.is_none())
    }

    /// Nothing more comes: every call without an end fails with this kind; gives whom to wake.
    pub(crate) fn close(&mut self, kind: ErrorKind, detail: &str) -> Vec<Waker> {
        let waiting = self.open.values_mut().filter(|open| open.ending.is_none());
        let close = |open: &mut Open| {
            open.ending = Some(Ending::Failed(Error::new(kind, "channel.call", detail)));
            open.waker.take()
        };
        waiting.filter_map(close).collect()
    }
}

/// What a server may do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Send it.
    Granted,
    /// Wait until the caller takes more.
    NoCredit,
    /// The caller no longer wants it.
    Cancelled,
    /// The caller takes one reply, not parts.
    NoStream,
}

#[derive(Debug, Default)]
struct Serving {
    stream: bool,
    credit: u32,
    cancelled: bool,
    wakers: Vec<Waker>,
}

/// The calls of the other side that are being served here.
#[derive(Debug, Default)]
pub(crate) struct Served {
    open: HashMap<u64, Serving>,
}

impl Served {
    /// Takes a call.
    pub(crate) fn on_call(&mut self, id: u64, stream: bool) -> Checked<()> {
        if self.open.len() >= MAX_OPEN {
            return Err(Fault { kind: ErrorKind::TooLarge, why: format!("too many calls at once (open = {MAX_OPEN}, limit = {MAX_OPEN})") });
        }
        let credit = if stream { WINDOW } else { 0 };
        match self.open.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Serving { stream, credit, ..Serving::default() });
                Ok(())
            }
            Entry::Occupied(_) => Err(Fault::protocol(format!("a call twice (id = {id})"))),
        }
    }

    /// Takes a cancel; gives whom to wake.
    pub(crate) fn on_cancel(&mut self, id: u64) -> Vec<Waker> {
        let Some(serving) = self.open.get_mut(&id) else { return Vec::new() };
        serving.cancelled = true;
        std::mem::take(&mut serving.wakers)
    }

    /// Takes credit; gives whom to wake.
    pub(crate) fn on_credit(&mut self, id: u64, credit: u32) -> Checked<Vec<Waker>> {
        let Some(serving) = self.open.get_mut(&id) else { return Ok(Vec::new()) };
        let sum = serving.credit.checked_add(credit).filter(|sum| serving.stream && *sum <= WINDOW);
        serving.credit = sum.ok_or_else(|| Fault::protocol(format!("more credit than the window (id = {id}, credit = {credit})")))?;
        Ok(std::mem::take(&mut serving.wakers))
    }

    /// Whether a part may be sent now; if so, its credit is spent. If not yet, `waker` will be woken.
    pub(crate) fn part(&mut self, id: u64, waker: Option<&Waker>) -> Leave {
        match self.open.get_mut(&id) {
            None => Leave::Cancelled,
            Some(serving) if serving.cancelled => Leave::Cancelled,
            Some(serving) if !serving.stream => Leave::NoStream,
            Some(serving) => match serving.credit.checked_sub(1) {
                Some(left) => {
                    serving.credit = left;
                    Leave::Granted
                }
                None => {
                    serving.wakers.extend(waker.cloned());
                    Leave::NoCredit
                }
            },
        }
    }

    /// Whether the caller takes parts.
    pub(crate) fn is_stream(&self, id: u64) -> bool {
        self.open.get(&id).is_some_and(|serving| serving.stream)
    }

    /// Whether the caller has given up. If not, `waker` will be woken when it does.
    pub(crate) fn is_cancelled(&mut self, id: u64, waker: Option<&Waker>) -> bool {
        match self.open.get_mut(&id) {
            Some(serving) if !serving.cancelled => {
                serving.wakers.extend(waker.cloned());
                false
            }
            _ => true,
        }
    }

    /// Ends a call; whether its end is to be sent.
    pub(crate) fn finish(&mut self, id: u64) -> bool {
        self.open.remove(&id).is_some_and(|serving| !serving.cancelled)
    }

    /// Nothing more can be sent: every call counts as cancelled; gives whom to wake.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        let cancel = |serving: &mut Serving| {
            serving.cancelled = true;
            std::mem::take(&mut serving.wakers)
        };
        self.open.values_mut().flat_map(cancel).collect()
    }
}

#[cfg(test)]
mod tests;

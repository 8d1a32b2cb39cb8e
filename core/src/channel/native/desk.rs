//! What has come and waits for whoever wants it: messages, requests, replies to calls.
//!
//! One thread at a time leads: it has the receiver's lock, reads frames and sorts them here. The others follow: each parks until its own thing
//! is here, or until the leader leaves and it is its turn to lead.

use crate::channel::call::{Calls, Served};
use crate::channel::control::{FailureBody, decode_credit};
use crate::channel::frame::{FLAG_STREAM, Fault, FrameKind, Header};
use crate::channel::message::Message;
use crate::error::{Error, ErrorKind, Result};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::task::Waker;

/// Small frames that wait for room to be sent: cancels, credits and pongs.
const MAX_OWED: usize = 1024;

/// A call of the other side that nobody has begun to serve.
#[derive(Debug)]
pub(in crate::channel) struct Asked {
    pub(in crate::channel) id: u64,
    pub(in crate::channel) message: Message,
}

/// Behind the lock.
#[derive(Debug, Default)]
pub(in crate::channel) struct State {
    pub(in crate::channel) calls: Calls,
    pub(in crate::channel) served: Served,
    mail: VecDeque<Message>,
    requests: VecDeque<Asked>,
    mail_wakers: Vec<Waker>,
    request_wakers: Vec<Waker>,
    /// Threads that would lead.
    followers: VecDeque<(u64, Waker)>,
    last_follower: u64,
    /// Futures that would lead; each is woken when the leader leaves.
    futures: Vec<Waker>,
    owed: Vec<(Header, Vec<u8>)>,
    end: Option<(ErrorKind, String)>,
}

/// Shared by the receiving half and everybody who waits.
#[derive(Debug, Default)]
pub(in crate::channel) struct Desk {
    state: Mutex<State>,
    mail: AtomicUsize,
    requests: AtomicUsize,
    /// Bytes of both.
    bytes: AtomicUsize,
    waiting: AtomicUsize,
    owed: AtomicUsize,
    /// Somebody asks for requests.
    pub(super) serves: AtomicBool,
}

impl State {
    /// The error of everything that waits after the end.
    pub(in crate::channel) fn ended(&self, operation: &'static str) -> Option<Error> {
        self.end.as_ref().map(|(kind, detail)| Error::new(*kind, operation, detail.clone()))
    }
}

impl Desk {
    pub(in crate::channel) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Messages that wait.
    #[inline]
    pub(super) fn mail(&self) -> usize {
        self.mail.load(Ordering::Relaxed)
    }

    /// Whether something waits that somebody asks for.
    pub(super) fn has_something(&self) -> bool {
        self.mail() > 0 || (self.serves.load(Ordering::Relaxed) && self.requests.load(Ordering::Relaxed) > 0)
    }

    /// Bytes of messages and requests that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn put_mail(&self, message: Message) {
        let mut state = self.lock();
        self.bytes.fetch_add(message.size(), Ordering::Relaxed);
        state.mail.push_back(message);
        self.mail.store(state.mail.len(), Ordering::Relaxed);
        let wakers = std::mem::take(&mut state.mail_wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The next message; without one, `waker` will be woken.
    pub(super) fn take_mail(&self, state: &mut State, waker: Option<&Waker>) -> Option<Message> {
        let Some(message) = state.mail.pop_front() else {
            state.mail_wakers.extend(waker.cloned());
            return None;
        };
        self.mail.store(state.mail.len(), Ordering::Relaxed);
        self.took(message.size());
        Some(message)
    }

    /// The next request; without one, `waker` will be woken.
    pub(super) fn take_request(&self, state: &mut State, waker: Option<&Waker>) -> Option<Asked> {
        let Some(asked) = state.requests.pop_front() else {
            state.request_wakers.extend(waker.cloned());
            return None;
        };
        self.requests.store(state.requests.len(), Ordering::Relaxed);
        self.took(asked.message.size());
        Some(asked)
    }

    fn took(&self, size: usize) {
        let before = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(before.saturating_sub(size), Ordering::Relaxed);
    }

    /// Sorts a frame that belongs to a call; `message` is its message, if it carries one.
    pub(super) fn sort(&self, header: &Header, message: Option<Message>, payload: &[u8]) -> std::result::Result<(), Fault> {
        let mut state = self.lock();
        let id = header.id;
        let wakers: Vec<Waker> = match header.kind {
            FrameKind::Call => {
                state.served.on_call(id, header.flags & FLAG_STREAM != 0)?;
                let message = message.unwrap_or_default();
                self.bytes.fetch_add(message.size(), Ordering::Relaxed);
                state.requests.push_back(Asked { id, message });
                self.requests.store(state.requests.len(), Ordering::Relaxed);
                std::mem::take(&mut state.request_wakers)
            }
            FrameKind::Reply | FrameKind::ReplyPart | FrameKind::ReplyEnd => state.calls.on_reply(header.kind, id, message)?.into_iter().collect(),
            FrameKind::Error => state.calls.on_failure(id, FailureBody::decode(payload)?)?.into_iter().collect(),
            FrameKind::Cancel => self.cancel(&mut state, id),
            FrameKind::Credit => state.served.on_credit(id, decode_credit(payload)?)?,
            FrameKind::Ping => {
                self.owe(&mut state, Header::new(FrameKind::Pong, id), Vec::new())?;
                Vec::new()
            }
            FrameKind::Pong => Vec::new(),
            kind => return Err(Fault::protocol(format!("a frame out of place (kind = {})", kind.name()))),
        };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// A call that nobody has begun to serve goes away with its cancel.
    fn cancel(&self, state: &mut State, id: u64) -> Vec<Waker> {
        if let Some(at) = state.requests.iter().position(|asked| asked.id == id)
            && let Some(asked) = state.requests.remove(at)
        {
            self.requests.store(state.requests.len(), Ordering::Relaxed);
            self.took(asked.message.size());
            state.served.finish(id);
        }
        state.served.on_cancel(id)
    }

    /// Notes a small frame to be sent when there is room.
    pub(super) fn owe(&self, state: &mut State, header: Header, payload: Vec<u8>) -> std::result::Result<(), Fault> {
        if state.owed.len() >= MAX_OWED {
            return Err(Fault::protocol(format!("the peer asks for answers and does not read them (owed = {MAX_OWED}, limit = {MAX_OWED})")));
        }
        state.owed.push((header, payload));
        self.owed.store(state.owed.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether small frames wait for room.
    #[inline]
    pub(super) fn owes(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    pub(super) fn take_owed(&self) -> Vec<(Header, Vec<u8>)> {
        let mut state = self.lock();
        self.owed.store(0, Ordering::Relaxed);
        std::mem::take(&mut state.owed)
    }

    /// Puts back what found no room; it goes before what was owed meanwhile.
    pub(super) fn still_owe(&self, mut rest: Vec<(Header, Vec<u8>)>) {
        let mut state = self.lock();
        rest.append(&mut state.owed);
        state.owed = rest;
        self.owed.store(state.owed.len(), Ordering::Relaxed);
    }

    /// Nothing more comes: everybody who waits for something learns it.
    pub(super) fn close(&self, kind: ErrorKind, detail: &str) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some((kind, detail.to_owned()));
        }
        let mut wakers = state.calls.close(kind, detail);
        wakers.extend(state.served.close());
        wakers.append(&mut state.mail_wakers);
        wakers.append(&mut state.request_wakers);
        wakers.append(&mut state.futures);
        wakers.extend(state.followers.iter().map(|(_, waker)| waker.clone()));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Stands in line to lead; the number is for [`Desk::step_out`].
    pub(super) fn follow(&self, state: &mut State, waker: &Waker) -> u64 {
        state.last_follower += 1;
        let number = state.last_follower;
        state.followers.push_back((number, waker.clone()));
        self.waiting.store(state.followers.len() + state.futures.len(), Ordering::SeqCst);
        number
    }

    /// As [`Desk::follow`] for a future, which may be dropped without a word.
    pub(super) fn follow_as_future(&self, waker: &Waker) {
        let mut state = self.lock();
        state.futures.retain(|known| !known.will_wake(waker));
        state.futures.push(waker.clone());
        self.waiting.store(state.followers.len() + state.futures.len(), Ordering::SeqCst);
    }

    pub(super) fn step_out(&self, number: u64) {
        let mut state = self.lock();
        state.followers.retain(|(other, _)| *other != number);
        self.waiting.store(state.followers.len() + state.futures.len(), Ordering::SeqCst);
    }

    /// The leader has given up the lock, or whoever was chosen does not lead: the next one's turn.
    #[inline]
    pub(super) fn left(&self) {
        // Unlocking was a full barrier on x86; elsewhere the look at the line could overtake it.
        #[cfg(not(target_arch = "x86_64"))]
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.choose();
        }
    }

    #[cold]
    fn choose(&self) {
        let mut state = self.lock();
        let next = state.followers.pop_front();
        let mut wakers = std::mem::take(&mut state.futures);
        wakers.extend(next.map(|(_, waker)| waker));
        self.waiting.store(state.followers.len(), Ordering::SeqCst);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Orders a look at the lock after [`Desk::follow`].
    pub(super) fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The error of something that came back in the wrong form.
pub(in crate::channel) fn no_reply() -> Error {
    Error::new(ErrorKind::Protocol, "channel.call", "the call ended without a reply")
}

/// Maps the errors of waiting to those of a call.
pub(super) fn of_call(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Timeout => Error::new(ErrorKind::Timeout, "channel.call", "no reply came before the deadline"),
        _ => error,
    }
}

/// What a result of looking says when the channel has ended.
pub(super) fn or_end<T>(found: Option<T>, state: &State, operation: &'static str) -> Option<Result<T>> {
    found.map(Ok).or_else(|| state.ended(operation).map(Err))
}

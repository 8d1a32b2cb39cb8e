//! Waiting for one's own thing while somebody reads for all: calls, requests, and messages when several threads wait.

use super::desk::{Asked, Desk, State, no_reply, of_call, or_end};
use super::held::Held;
use super::intake::Receiver;
use super::output::{Offer, Outgoing};
use super::{Native, Wait, no_message, over};
use crate::channel::call::{Leave, Step};
use crate::channel::control::FailureBody;
use crate::channel::frame::{FLAG_STREAM, FrameKind, Header};
use crate::channel::message::Message;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::{Interest, Watch, watch_fd, watch_time};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The receiver's lock; whoever waits for it is told when it is given up.
pub(super) type Leading<'a> = Held<'a, Receiver, Leaving<'a>>;

/// Tells on drop that the receiver's lock was given up.
#[derive(Debug)]
pub(super) struct Leaving<'a>(&'a Desk);

impl Drop for Leaving<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.left();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Looks for one's own thing at the desk, and leaves a waker there when it is not there.
type Look<'a, T> = &'a mut dyn FnMut(&mut State, Option<&Waker>) -> Option<Result<T>>;

impl Native {
    /// The receiver, if nobody has it.
    #[inline]
    pub(super) fn try_lead(&self) -> Option<Leading<'_>> {
        let receiver = self.receiver.try_lock()?;
        Some(Leading::new(receiver, Leaving(&self.desk)))
    }

    /// Waits until `look` finds its thing. Leads while nobody else does.
    fn attend<T>(&self, wait: Wait, look: Look<'_, T>) -> Result<T> {
        let mut followed = false;
        let found = loop {
            if let Err(error) = self.line.check("channel.recv") {
                break Err(error);
            }
            if let Some(found) = look(&mut self.desk.lock(), None) {
                break found;
            }
            let mut may_lead = true;
            if let Some(mut receiver) = self.try_lead() {
                followed = false;
                if let Some(found) = self.lead(&mut receiver, wait, look) {
                    self.put_back(receiver);
                    break found;
                }
                may_lead = false;
            }
            if over(wait) {
                break Err(no_message(wait));
            }
            followed = true;
            if let Some(found) = self.park(wait, may_lead, look) {
                break found;
            }
        };
        if followed {
            self.desk.left();
        }
        self.pay();
        found
    }

    /// Reads frames until `look` finds its thing or the time is over; `None` when what came for others leaves no room to read more.
    fn lead<T>(&self, receiver: &mut Receiver, wait: Wait, look: Look<'_, T>) -> Option<Result<T>> {
        loop {
            receiver.drain(&self.line);
            if let Some(found) = look(&mut self.desk.lock(), None) {
                return Some(found);
            }
            if self.desk.owes() {
                self.pay();
            }
            if !receiver.has_space() {
                return None;
            }
            if let Err(error) = self.wait_data(receiver, wait) {
                return Some(Err(error));
            }
        }
    }

    /// Parks until one's own thing is there, or it may be one's turn to lead.
    fn park<T>(&self, wait: Wait, may_lead: bool, look: Look<'_, T>) -> Option<Result<T>> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut state = self.desk.lock();
        if let Some(found) = look(&mut state, Some(&waker)) {
            return Some(found);
        }
        let number = self.desk.follow(&mut state, &waker);
        drop(state);
        self.desk.fence();
        // The leader may have left before it could see this thread.
        if !may_lead || self.receiver.is_locked() {
            match wait.and_then(|deadline| deadline.remaining()) {
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
        self.desk.step_out(number);
        None
    }

    /// The next message, while another thread reads.
    #[cold]
    pub(super) fn recv_following(&self, wait: Wait) -> Result<Message> {
        if wait.is_none() {
            let mut state = self.desk.lock();
            return self.desk.take_mail(&mut state, None).ok_or_else(|| no_message(wait));
        }
        self.attend(wait, &mut |state, waker| {
            let found = self.desk.take_mail(state, waker);
            or_end(found, state, "channel.recv")
        })
    }

    /// The next call of the other side.
    pub(in crate::channel) fn next_request(&self, wait: Wait) -> Result<Asked> {
        self.desk.serves.store(true, Ordering::Relaxed);
        self.attend(wait, &mut |state, waker| {
            let found = self.desk.take_request(state, waker);
            or_end(found, state, "channel.serve")
        })
    }

    /// The next message or call, whichever is there.
    pub(in crate::channel) fn next_of_both(&self, wait: Wait) -> Result<std::result::Result<Message, Asked>> {
        self.desk.serves.store(true, Ordering::Relaxed);
        self.attend(wait, &mut |state, waker| {
            let message = self.desk.take_mail(state, waker).map(Ok);
            let found = message.or_else(|| self.desk.take_request(state, waker).map(Err));
            or_end(found, state, "channel.recv")
        })
    }

    /// Sends a call and gives its number.
    pub(in crate::channel) fn start_call(&self, message: &Message, stream: bool, wait: Wait) -> Result<u64> {
        let id = self.desk.lock().calls.open(stream);
        let sent = self.send_flagged((FrameKind::Call, id), if stream { FLAG_STREAM } else { 0 }, message, wait);
        if sent.is_err() {
            self.desk.lock().calls.forget(id);
        }
        sent.map(|()| id)
    }

    /// A call that is yet to be sent.
    pub(in crate::channel) fn open_call(&self, stream: bool) -> u64 {
        self.desk.lock().calls.open(stream)
    }

    /// Forgets a call that was not sent.
    pub(in crate::channel) fn drop_call(&self, id: u64) {
        self.desk.lock().calls.forget(id);
    }

    /// Waits for the next reply to a call; `None` is the end of its parts.
    pub(in crate::channel) fn next_reply(&self, id: u64, wait: Wait) -> Result<Option<Message>> {
        let result = self.attend(wait, &mut |state, waker| match state.calls.next(id, waker) {
            Step::Message(message) => Some(Ok(Some(message))),
            Step::End => Some(Ok(None)),
            Step::Failed(error) => Some(Err(error)),
            Step::Pending => state.ended("channel.call").map(Err),
        });
        self.give_credit(id);
        result.map_err(of_call)
    }

    /// The only reply to a call; the other side is told when it is no longer wanted.
    pub(in crate::channel) fn call(&self, message: &Message, wait: Wait) -> Result<Message> {
        let id = self.start_call(message, false, wait)?;
        let reply = self.next_reply(id, wait);
        if reply.is_err() {
            self.forget_call(id);
        }
        reply?.ok_or_else(no_reply)
    }

    /// As [`Native::next_reply`] without waiting. `watch` is the caller's, to be dropped before the channel.
    pub(in crate::channel) fn poll_reply(&self, id: u64, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<Option<Message>>> {
        self.line.check("channel.call")?;
        let found = self.poll_attend(cx, watch, &mut |state, waker| match state.calls.next(id, waker) {
            Step::Message(message) => Some(Ok(Some(message))),
            Step::End => Some(Ok(None)),
            Step::Failed(error) => Some(Err(error)),
            Step::Pending => state.ended("channel.call").map(Err),
        });
        if found.is_ready() {
            self.give_credit(id);
        }
        found
    }

    /// As [`Native::send_part`] without waiting.
    pub(in crate::channel) fn poll_part(&self, id: u64, message: &Message, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<bool>> {
        self.line.check("request.reply_part")?;
        let leave = self.poll_attend(cx, watch, &mut |state, waker| match state.served.part(id, waker) {
            Leave::NoCredit => state.ended("request.reply_part").map(Err),
            leave => Some(Ok(leave)),
        });
        match leave {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(leave) => match leave? {
                Leave::Granted => {}
                Leave::Cancelled => return Poll::Ready(Ok(false)),
                Leave::NoStream | Leave::NoCredit => return Poll::Ready(Err(no_stream())),
            },
        }
        let sent = self.poll_send_as((FrameKind::ReplyPart, id, 0), message, cx, watch);
        if !matches!(sent, Poll::Ready(Ok(()))) {
            // The credit was not used.
            let _ = self.desk.lock().served.on_credit(id, 1);
        }
        sent.map_ok(|()| true)
    }

    /// As [`Native::send_reply`] without waiting.
    pub(in crate::channel) fn poll_last(&self, id: u64, message: &Message, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<bool>> {
        if self.desk.lock().served.is_cancelled(id, None) {
            return Poll::Ready(Ok(false));
        }
        let sent = self.poll_send_as((FrameKind::Reply, id, 0), message, cx, watch);
        if matches!(sent, Poll::Ready(Ok(()))) {
            self.desk.lock().served.finish(id);
        }
        sent.map_ok(|()| true)
    }

    /// As [`Native::attend`] for those who must not block: `cx` is woken when it is worth another try.
    fn poll_attend<T>(&self, cx: &mut Context<'_>, watch: &mut Option<Watch>, look: Look<'_, T>) -> Poll<Result<T>> {
        *watch = None;
        let bell = self.pollable()?;
        self.desk.follow_as_future(cx.waker());
        self.desk.fence();
        if let Some(mut receiver) = self.try_lead() {
            receiver.drain(&self.line);
            self.put_back(receiver);
        }
        self.pay();
        let found = look(&mut self.desk.lock(), Some(cx.waker()));
        if let Some(found) = found {
            return Poll::Ready(found);
        }
        // Messages that nobody takes keep the bell ringing: then look again after a while.
        let watched = if self.desk.has_something() {
            watch_time(Instant::now() + Duration::from_millis(5), cx.waker())
        } else {
            watch_fd(bell, Interest::Read, cx.waker())
        };
        *watch = Some(watched?);
        Poll::Pending
    }

    fn give_credit(&self, id: u64) {
        let due = self.desk.lock().calls.credit_due(id);
        if let Some(credit) = due {
            self.send_small(FrameKind::Credit, id, &credit.to_le_bytes());
        }
    }

    /// Gives a call up.
    pub(in crate::channel) fn forget_call(&self, id: u64) {
        let tell = self.desk.lock().calls.forget(id);
        if tell {
            self.send_small(FrameKind::Cancel, id, &[]);
        }
    }

    /// Sends a reply that ends the call. False when the caller no longer wants it.
    pub(in crate::channel) fn send_reply(&self, id: u64, message: &Message, wait: Wait) -> Result<bool> {
        if self.desk.lock().served.is_cancelled(id, None) {
            return Ok(false);
        }
        self.send_flagged((FrameKind::Reply, id), 0, message, wait)?;
        self.desk.lock().served.finish(id);
        Ok(true)
    }

    /// Sends one of several replies, once the caller takes it. False when the caller no longer wants it.
    pub(in crate::channel) fn send_part(&self, id: u64, message: &Message, wait: Wait) -> Result<bool> {
        let leave = self.wait_for_credit(id, wait)?;
        match leave {
            Leave::Granted => {}
            Leave::Cancelled => return Ok(false),
            Leave::NoStream | Leave::NoCredit => {
                return Err(no_stream());
            }
        }
        let sent = self.send_flagged((FrameKind::ReplyPart, id), 0, message, wait);
        if sent.is_err() {
            // The credit was not used.
            let _ = self.desk.lock().served.on_credit(id, 1);
        }
        sent.map(|()| true)
    }

    fn wait_for_credit(&self, id: u64, wait: Wait) -> Result<Leave> {
        let first = self.desk.lock().served.part(id, None);
        if first != Leave::NoCredit {
            return Ok(first);
        }
        let waited = self.attend(wait, &mut |state, waker| match state.served.part(id, waker) {
            Leave::NoCredit => state.ended("request.reply_part").map(Err),
            leave => Some(Ok(leave)),
        });
        waited.map_err(|error| match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Timeout, "request.reply_part", "the caller took no part before the deadline"),
            ErrorKind::WouldBlock => Error::new(ErrorKind::WouldBlock, "request.reply_part", "the caller has to take a part first"),
            _ => error,
        })
    }

    /// Ends the parts of a call, or fails it.
    pub(in crate::channel) fn end_call(&self, id: u64, failure: Option<&FailureBody>) {
        if !self.line.is_forked() && self.desk.lock().served.finish(id) {
            match failure {
                None => self.send_small(FrameKind::ReplyEnd, id, &[]),
                Some(failure) => self.send_small(FrameKind::Error, id, &failure.encode()),
            }
        }
    }

    pub(in crate::channel) fn is_cancelled(&self, id: u64) -> bool {
        if let Some(mut receiver) = self.try_lead() {
            receiver.drain(&self.line);
            self.put_back(receiver);
        }
        self.desk.lock().served.is_cancelled(id, None)
    }

    pub(in crate::channel) fn takes_parts(&self, id: u64) -> bool {
        self.desk.lock().served.is_stream(id)
    }

    /// Sends a frame without a message now, or leaves it to whoever sends or receives next.
    fn send_small(&self, kind: FrameKind, id: u64, payload: &[u8]) {
        let mut state = self.desk.lock();
        // More than this is owed only to a side that does not read; it is not told more.
        let _ = self.desk.owe(&mut state, Header::new(kind, id), payload.to_vec());
        drop(state);
        self.pay();
    }

    /// Sends what is owed as far as there is room.
    #[inline]
    pub(super) fn pay(&self) {
        if self.desk.owes() {
            self.pay_owed();
        }
    }

    #[cold]
    fn pay_owed(&self) {
        // Whoever has the lock pays when it is done.
        let Some(mut sender) = self.sender.try_lock() else { return };
        let mut owed = self.desk.take_owed();
        let mut sent = 0;
        for (header, payload) in &owed {
            let header = Header { length: payload.len() as u64, ..*header };
            let frame = Outgoing { header, table: &[], parts: &[payload], fds: &[], lent: 0 };
            match sender.offer(&self.line, &frame) {
                Ok(Offer::Sent) => sent += 1,
                Ok(Offer::Full) => break,
                // Nobody is there to be told.
                Err(_) => sent = owed.len(),
            }
            if sent == owed.len() {
                break;
            }
        }
        owed.drain(..sent);
        if !owed.is_empty() {
            self.desk.still_owe(owed);
        }
        if sender.has_pending() {
            let _ = self.sender.leave_to_reactor(&self.line, &mut sender);
        }
    }
}

fn no_stream() -> Error {
    Error::new(ErrorKind::InvalidState, "request.reply_part", "the caller takes one reply, not parts")
}

//! The native channel: frames through rings in shared memory, or through the socket where there is none.
//!
//! ```text
//!   send ─ output ─┐ ring: bytes of frames ─────────► intake ─ recv
//!                  ├ socket: descriptors, the end ──►
//!                  └ bells: eventfds, rung only for a side that said it waits on them
//! ```
//! Sending: `turn` says whose turn it is, `output` writes; large bodies are lent (`lending`) or go in `pieces`. Receiving: `intake` reads frames,
//! `assemble` makes messages of them, the `desk` keeps them for whoever wants them, `plain` receives a body without a message around it.
//! Waiting: `wait` for one thread, `attend` when several share an end, `futures` for those who must not block, `rounds` for interpreters. Both
//! directions share the `line`; `pair` makes it.
//!
//! Locks: a thread that has the sender's lock may try for the receiver's, never wait for it; and the other way round.

mod assemble;
mod attend;
mod desk;
mod futures;
mod held;
mod intake;
mod lending;
mod line;
mod output;
pub(super) mod pair;
mod pieces;
pub(super) mod plain;
mod rounds;
mod turn;
mod wait;

use self::attend::Leading;
pub(super) use self::desk::Asked;
use self::desk::Desk;
pub(in crate::channel) use self::desk::no_reply;
use self::intake::Receiver;
use self::lending::Lending;
use self::line::Line;
use self::output::{Offer, Outgoing, Sender};
use self::turn::{Outlet, Turn};
use super::frame::{FrameKind, Header};
use super::handle::check_handles;
use super::message::Message;
use super::options::ChannelOptions;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::rings::Rings;
use parking_lot::Mutex;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Why a forked copy is refused.
pub(in crate::channel) const FORKED: &str = "this process is a forked copy, the channel belongs to the process that was forked";

/// How long to wait: not at all, or until a deadline.
pub(super) type Wait = Option<Deadline>;

fn over(wait: Wait) -> bool {
    wait.is_none_or(Deadline::passed)
}

/// Bytes that never travel by reference, whatever the ring.
const INLINE_ALWAYS: usize = 1024;

/// One end.
#[derive(Debug)]
pub(super) struct Native {
    line: Arc<Line>,
    sender: Arc<Outlet>,
    receiver: Mutex<Receiver>,
    desk: Arc<Desk>,
    /// Somebody polls the data bell: it has to be armed whenever nothing is there.
    bell_wanted: AtomicBool,
    /// Something was sent since the receiver last waited: a conversation, not a stream.
    answered: AtomicBool,
    /// What came last was large, and nothing was sent since: what is sent now may be an answer of that size to somebody who waits for it.
    heard_large: AtomicBool,
    rings: Option<Rings>,
    /// Where large bodies are lent from.
    lending: OnceLock<Lending>,
    max_lent: usize,
}

fn would_block(operation: &'static str, detail: &'static str) -> Error {
    Error::new(ErrorKind::WouldBlock, operation, detail)
}

impl Native {
    fn new(line: Arc<Line>, (sender, receiver): (Sender, Receiver), rings: Option<Rings>, options: &ChannelOptions) -> Native {
        Native {
            line,
            sender: Outlet::new(sender),
            desk: Arc::clone(&receiver.desk),
            receiver: Mutex::new(receiver),
            bell_wanted: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            heard_large: AtomicBool::new(false),
            rings,
            lending: OnceLock::new(),
            max_lent: options.max_queued_bytes,
        }
    }

    /// Sends bytes as a raw message, without allocating.
    #[inline]
    pub(super) fn send_bytes(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        if bytes.len() > INLINE_ALWAYS {
            return self.send_large(bytes, wait);
        }
        self.line.check("channel.send")?;
        if let Some(mut sender) = self.sender.try_lock()
            && sender.put_small(&self.line, bytes)
        {
            drop(sender);
            self.sent();
            return Ok(());
        }
        self.send_small_bytes(bytes, wait)
    }

    /// The long way, for when something is not as usual.
    #[cold]
    fn send_small_bytes(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        let mut header = Header::new(FrameKind::Data, 0);
        header.length = bytes.len() as u64;
        self.send_frame(&Outgoing { header, table: &[], parts: &[bytes], fds: &[], lent: 0 }, bytes.len(), wait)
    }

    /// What is left to do after a frame went and the lock was given up.
    #[inline]
    fn sent(&self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
        self.pay();
        if self.line.room_wanted.load(Ordering::Relaxed) {
            self.line.wake_senders();
        }
    }

    #[cold]
    fn send_large(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        // Who does not wait may be about to close: what is lent is there, but the rest of a frame would be lost.
        if wait.is_some() && self.goes_in_pieces(bytes.len()) {
            return self.send_in_pieces(bytes, wait);
        }
        if wait.is_none() && !self.has_room()? {
            return Err(full(wait));
        }
        let ready = self.prepare_bytes(bytes)?;
        let sent = self.send_frame(&ready.outgoing(), bytes.len(), wait);
        if sent.is_err() {
            ready.take_back();
        }
        sent
    }

    /// Sends a message; it is still the caller's when this fails.
    pub(super) fn send(&self, message: &Message, wait: Wait) -> Result<()> {
        self.send_as(FrameKind::Data, 0, message, wait)
    }

    fn send_as(&self, kind: FrameKind, id: u64, message: &Message, wait: Wait) -> Result<()> {
        self.send_flagged((kind, id), 0, message, wait)
    }

    fn send_flagged(&self, (kind, id): (FrameKind, u64), flags: u8, message: &Message, wait: Wait) -> Result<()> {
        check_handles(&message.fds, message.handle, "channel.send", ErrorKind::InvalidArgument)?;
        if message.size() > INLINE_ALWAYS && wait.is_none() && !self.has_room()? {
            // Nothing is copied to shared memory in vain.
            return Err(full(wait));
        }
        let mut ready = self.prepare(kind, id, message)?;
        ready.flag(flags);
        let sent = self.send_frame(&ready.outgoing(), message.size(), wait);
        if sent.is_err() {
            ready.take_back();
        }
        sent
    }

    /// Whether a frame of some bytes would be taken now, or refused for good.
    fn has_room(&self) -> Result<bool> {
        self.line.check("channel.send")?;
        Ok(self.line.is_over() || self.sender.try_lock().is_some_and(|mut sender| !sender.has_pending() && sender.may_have_room(4096)))
    }

    #[inline]
    fn send_frame(&self, frame: &Outgoing<'_>, size: usize, wait: Wait) -> Result<()> {
        self.line.check("channel.send")?;
        let mut sender = self.lock_sender(wait)?;
        sender.check_size(size, frame.fds.len())?;
        while self.announce(&mut sender)? == Offer::Full || sender.offer(&self.line, frame)? == Offer::Full {
            if over(wait) || sender.starved.is_over() {
                return Err(sender.starved.error("channel.send").unwrap_or_else(|| full(wait)));
            }
            self.wait_room(&mut sender, frame.len(), wait);
        }
        if sender.has_pending() {
            self.finish_pending(&mut sender, wait)?;
        }
        drop(sender);
        self.sent();
        Ok(())
    }

    /// Sends the rest of a frame. After the deadline the rest is left to whoever sends next, or to the reactor.
    #[cold]
    fn finish_pending(&self, sender: &mut Sender, wait: Wait) -> Result<()> {
        while !sender.pump(&self.line)? {
            if self.line.is_over() {
                break;
            }
            if over(wait) || sender.starved.is_over() {
                return self.sender.leave_to_reactor(&self.line, sender);
            }
            self.wait_room(sender, 1, wait);
        }
        Ok(())
    }

    #[inline]
    fn lock_sender(&self, wait: Wait) -> Result<Turn<'_>> {
        if let Some(sender) = self.sender.try_lock() {
            return Ok(sender);
        }
        let sender = match wait.map(Deadline::instant) {
            None => None,
            Some(None) => Some(self.sender.lock()),
            Some(Some(at)) => self.sender.try_lock_until(at),
        };
        sender.ok_or_else(|| full(wait))
    }

    /// The next message.
    pub(super) fn recv(&self, wait: Wait) -> Result<Message> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return self.recv_following(wait) };
        loop {
            if let Some(message) = receiver.take(&self.line)? {
                self.put_back(receiver);
                return Ok(message);
            }
            self.wait_data(&mut receiver, wait)?;
        }
    }

    /// The next message if one is there; arms the bell when none is.
    pub(super) fn try_recv(&self) -> Result<Message> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return self.recv_following(None) };
        loop {
            match receiver.take(&self.line) {
                Ok(Some(message)) => return Ok(message),
                Ok(None) if self.bell_wanted.load(Ordering::Relaxed) && !self.arm_bell(&mut receiver) => {}
                Ok(None) => return Err(no_message(None)),
                Err(error) => {
                    self.ring_own_bell();
                    return Err(error);
                }
            }
        }
    }

    /// Gives up the receiver's lock. Who polled meanwhile was refused: the bell calls for another try.
    #[inline]
    fn put_back(&self, mut receiver: Leading<'_>) {
        if self.bell_wanted.load(Ordering::Relaxed) && !self.arm_bell(&mut receiver) {
            self.ring_armed_bell();
        }
    }

    /// Waits until everything sent has left this process: it lies in the ring or the socket and reaches the other side even if this process
    /// ends. False when the deadline passed first.
    pub(super) fn flush(&self, wait: Wait) -> Result<bool> {
        self.line.check("channel.flush")?;
        let Ok(mut sender) = self.lock_sender(wait) else { return Ok(false) };
        self.finish_pending(&mut sender, wait)?;
        if sender.has_pending() && self.line.is_over() {
            return Err(output::gone());
        }
        Ok(!sender.has_pending())
    }

    pub(super) fn close(&self) {
        self.stop_pump();
        self.line.shut();
        if !self.line.is_forked() {
            self.desk.close(ErrorKind::InvalidState, "the channel was closed by this side");
        }
    }

    fn stop_pump(&self) {
        if !self.line.is_forked() {
            self.sender.stop_pump();
        }
    }

    /// Counts the other side as gone once this process has ended.
    pub(super) fn watch_process(&self, process: OwnedFd) -> Result<()> {
        self.line.watch_process(process)
    }

    /// Whether a call to receive would give something now: a message or the end. Otherwise the bell is armed.
    pub(super) fn has_something(&self) -> Result<bool> {
        self.line.check("channel.wait_any")?;
        let Some(mut receiver) = self.try_lead() else { return Ok(false) };
        loop {
            receiver.fill(&self.line);
            if receiver.has_something() {
                return Ok(true);
            }
            if !self.bell_wanted.load(Ordering::Relaxed) || self.arm_bell(&mut receiver) {
                return Ok(false);
            }
        }
    }

    /// Bytes sent that the other side has not read, and bytes kept here that nobody has asked for.
    pub(super) fn queued(&self) -> Result<(u64, u64)> {
        self.line.check("channel.stats")?;
        Ok((self.sender.lock().unread()?, self.desk.bytes() as u64))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.line.is_shut() || self.line.is_over()
    }

    pub(super) fn closed_in_order(&self) -> bool {
        !self.line.is_forked() && (self.receiver.try_lock().is_some_and(|receiver| receiver.closed_in_order()) || self.line.closed_in_order())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if self.line.is_forked() {
            // The mapping was kept out of this copy: its place may be somebody else's by now and must not be unmapped.
            std::mem::forget(self.rings.clone());
            return;
        }
        self.stop_pump();
        self.line.shut();
    }
}

#[cold]
fn no_message(wait: Wait) -> Error {
    if wait.is_none() {
        return would_block("channel.recv", "no message is there");
    }
    Error::new(ErrorKind::Timeout, "channel.recv", "no message came before the deadline")
}

#[cold]
fn full(wait: Wait) -> Error {
    if wait.is_none() {
        return would_block("channel.send", "the other side has not read what was sent before: there is no room");
    }
    Error::new(ErrorKind::Timeout, "channel.send", "the other side did not read in time: there was no room before the deadline")
}

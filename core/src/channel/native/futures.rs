//! The same verbs for those who must not block: each says when to try again.

use super::output::Sender;
use super::{Native, would_block};
use crate::channel::frame::{FLAG_STREAM, FrameKind};
use crate::channel::message::Message;
use crate::error::{ErrorKind, Result};
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::shm::ring::{BELL_ROOM, Word};
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

impl Native {
    /// The next message, or the waker is woken when it is worth another try. `watch` is the caller's, to be dropped before the channel.
    pub(in crate::channel) fn poll_recv(&self, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<Message>> {
        *watch = None;
        let bell = self.pollable()?;
        match self.try_recv() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                *watch = Some(watch_fd(bell, Interest::Read, cx.waker())?);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// Sends, or the waker is woken when it is worth another try. What comes meanwhile is taken in.
    pub(in crate::channel) fn poll_send(&self, message: &Message, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<()>> {
        self.poll_send_as((FrameKind::Data, 0, 0), message, cx, watch)
    }

    /// As [`Native::poll_send`] for a call that was opened: the flag says whether the caller takes parts.
    pub(in crate::channel) fn poll_call(
        &self,
        (id, stream): (u64, bool),
        message: &Message,
        cx: &mut Context<'_>,
        watch: &mut Option<Watch>,
    ) -> Poll<Result<()>> {
        self.poll_send_as((FrameKind::Call, id, if stream { FLAG_STREAM } else { 0 }), message, cx, watch)
    }

    /// As [`Native::poll_send`] for a frame of this kind and number, with these flags.
    pub(super) fn poll_send_as(
        &self,
        (kind, id, flags): (FrameKind, u64, u8),
        message: &Message,
        cx: &mut Context<'_>,
        watch: &mut Option<Watch>,
    ) -> Poll<Result<()>> {
        *watch = None;
        match self.send_flagged((kind, id), flags, message, None) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        self.line.room_wakers.lock().push(cx.waker().clone());
        self.line.room_wanted.store(true, Ordering::SeqCst);
        if let Some(mut receiver) = self.try_lead() {
            receiver.drain(&self.line);
            self.put_back(receiver);
        }
        let (fd, interest) = match self.line.ring() {
            Some(ring) => {
                ring.bells.room.clear();
                Word::set(&ring.mine().waiting, BELL_ROOM);
                (ring.bells.room.as_fd(), Interest::Read)
            }
            None => (self.line.socket(), Interest::Write),
        };
        match self.send_flagged((kind, id), flags, message, None) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                *watch = Some(watch_fd(fd, interest, cx.waker())?);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// Leaves the rest of a frame to the reactor.
    pub(super) fn leave_to_reactor(&self, sender: &mut Sender) -> Result<()> {
        let mut pump = self.pump.lock();
        let pump = pump.get_or_insert_with(|| {
            Arc::new(Pump { line: Arc::downgrade(&self.line), sender: Arc::downgrade(&self.sender), watch: Mutex::new(None) })
        });
        // Each time, because the last rest that went disarmed it; and before another attempt, because room that came until now rang nothing.
        pump.arm()?;
        if sender.pump(&self.line)? {
            pump.stop();
        }
        Ok(())
    }
}

/// Sends the rest of a frame whenever there is room.
#[derive(Debug)]
pub(super) struct Pump {
    line: Weak<super::line::Line>,
    sender: Weak<Mutex<Sender>>,
    watch: Mutex<Option<Watch>>,
}

impl Pump {
    /// Waits for room, unless there is nothing left to send.
    fn arm(self: &Arc<Pump>) -> Result<()> {
        let Some(line) = self.line.upgrade() else { return Ok(()) };
        let waker = Waker::from(Arc::clone(self));
        let (fd, interest) = match line.ring() {
            Some(ring) => {
                ring.bells.room.clear();
                Word::set(&ring.mine().waiting, BELL_ROOM);
                (ring.bells.room.as_fd(), Interest::Read)
            }
            None => (line.socket(), Interest::Write),
        };
        let mut watch = self.watch.lock();
        *watch = None;
        *watch = Some(watch_fd(fd, interest, &waker)?);
        Ok(())
    }

    /// Stops waiting; before the descriptors go.
    pub(super) fn stop(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
    }

    fn run(self: &Arc<Pump>) -> Result<()> {
        let (Some(line), Some(sender)) = (self.line.upgrade(), self.sender.upgrade()) else { return Ok(()) };
        if line.is_shut() || line.is_over() {
            return Ok(());
        }
        // Armed before the attempt: room that comes after it rings the bell. Whoever holds the lock pumps himself.
        self.arm()?;
        let Some(mut sender) = sender.try_lock() else { return Err(would_block("channel.send", "busy")) };
        if sender.pump(&line)? {
            self.stop();
        }
        Ok(())
    }
}

impl Wake for Pump {
    fn wake(self: Arc<Self>) {
        let _ = self.run();
    }
}

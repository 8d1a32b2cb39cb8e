//! The same verbs for those who must not block: each says when to try again.

use super::Native;
use crate::channel::frame::{FLAG_STREAM, FrameKind};
use crate::channel::message::Message;
use crate::error::{ErrorKind, Result};
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::shm::ring::{BELL_ROOM, Word};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

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
}

//! What happens under the lock of an endpoint and around it: reading and writing for whoever calls, waiting, and the background.

use super::bare::{CORKED, CORKED_MESSAGES};
use super::{Guard, Inner, RECV, Refused, SEND, disconnected};
use crate::channel::Message;
use crate::channel::node::state::Step;
use crate::channel::node::watch::{Ready, Watches};
use crate::channel::starved::pause;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork;
use crate::sys::poll::{Events, PollFd, poll, readable_now};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::Waker;
use std::time::Duration;

impl Inner {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn enter(&self, operation: &'static str) -> Result<Guard<'_>> {
        if self.generation != fork::generation() {
            return Err(Error::new(ErrorKind::InvalidState, operation, "the process was forked: the channel is its parent's"));
        }
        Ok(self.locked.lock())
    }

    pub(super) fn leave(&self, guard: Guard<'_>) {
        // Without a reactor nothing happens in the background; those who wait and poll still make progress.
        let _ = self.settle(guard);
    }

    /// Rings, wakes and arms whatever the state asks for now. Wakers are called without the lock: they are a user's code.
    ///
    /// # Errors
    /// There is no reactor, so nothing happens in the background.
    pub(super) fn settle(&self, mut guard: Guard<'_>) -> Result<()> {
        let locked = &mut *guard;
        let news = locked.state.has_news();
        let sendable = locked.state.has_room() || !locked.state.is_open();
        let heard = locked.watches.receivers.waiting > 0 || locked.watches.polled;
        self.receivers.ring(&mut locked.watches.receivers, news && heard);
        let heard = locked.watches.senders.waiting > 0;
        self.senders.ring(&mut locked.watches.senders, !locked.state.awaits_answer() && heard);
        let mut wakers = Vec::new();
        if news {
            wakers.append(&mut locked.recv_wakers);
        }
        if sendable {
            wakers.append(&mut locked.send_wakers);
        }
        if !locked.state.has_output() {
            wakers.append(&mut locked.written_wakers);
        }
        let read = locked.state.may_read() && !locked.abandoned && (locked.state.awaits_answer() || !locked.recv_wakers.is_empty());
        let write = locked.state.has_output() && !locked.corked;
        let armed = locked.watches.arm(self.fd(), self.peer.get().map(AsFd::as_fd).filter(|_| read), (read, write));
        drop(guard);
        for waker in wakers {
            waker.wake();
        }
        armed
    }

    /// Lets an abandoned endpoint go, of which nothing will be written any more: whoever waits for that is told.
    pub(super) fn finish(&self, mut guard: Guard<'_>) {
        guard.watches = Watches::default();
        let wakers = std::mem::take(&mut guard.written_wakers);
        drop(guard);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a message, reading for it if need be.
    pub(super) fn take(&self, guard: &mut Guard<'_>) -> Option<Result<Message>> {
        loop {
            if let Some(result) = guard.state.take() {
                self.answer(guard);
                return Some(result);
            }
            if !self.fill(guard) {
                return None;
            }
        }
    }

    /// Reads once for a receiver; false when nothing more is there.
    pub(super) fn fill(&self, guard: &mut Guard<'_>) -> bool {
        let step = match guard.state.read(self.fd()) {
            // All that came was read; whoever could send more is gone.
            Step::Blocked if self.peer_has_ended() => match guard.state.read(self.fd()) {
                Step::Blocked => guard.state.end(),
                step => step,
            },
            step => step,
        };
        let moved = matches!(step, Step::Moved | Step::Over);
        if moved {
            self.answer(guard);
        }
        moved || guard.state.is_overdue(self.fd())
    }

    pub(super) fn peer_has_ended(&self) -> bool {
        self.peer.get().is_some_and(|peer| readable_now(peer.as_fd()).unwrap_or(false))
    }

    /// Writes acknowledgements and whatever else reading brought about.
    pub(super) fn answer(&self, guard: &mut Guard<'_>) {
        guard.state.write(self.fd());
    }

    pub(super) fn accept_now(&self, guard: &mut Guard<'_>, message: Message) -> std::result::Result<(), Refused> {
        let plan = match guard.state.plan(&message) {
            Ok(plan) => plan,
            Err(error) => return Err(Refused { error, message }),
        };
        if !guard.state.has_room() {
            // The acknowledgement may be there.
            self.pump(guard);
        }
        if !guard.state.is_open() {
            return Err(Refused { error: disconnected(), message });
        }
        if !guard.state.has_room() {
            let why = if guard.state.awaits_answer() { "a handle has not been acknowledged" } else { "too much has not been written" };
            return Err(Refused { error: Error::new(ErrorKind::WouldBlock, SEND, why), message });
        }
        let ticket = guard.state.accept(plan, message);
        if guard.corked && guard.state.output_bytes() < CORKED && guard.state.output_messages() < CORKED_MESSAGES {
            self.write_soon(guard);
            return Ok(());
        }
        guard.state.write(self.fd());
        match guard.state.take_back(ticket) {
            Some(message) => Err(Refused { error: disconnected(), message }),
            None => Ok(()),
        }
    }

    /// Writes, and reads while the queue has room: what a sender or the background does.
    pub(super) fn pump(&self, guard: &mut Guard<'_>) {
        guard.state.write(self.fd());
        // Who reads reserved messages does so in an event loop, and would not hear of what was read here.
        let reads = !guard.state.is_bare();
        while reads && guard.state.may_read() && guard.state.read(self.fd()) == Step::Moved {
            guard.state.write(self.fd());
        }
        if reads && guard.state.may_read() && self.peer_has_ended() && guard.state.read(self.fd()) == Step::Blocked {
            guard.state.end();
        }
        guard.state.write(self.fd());
    }

    pub(super) fn wait_to_receive<'a>(&'a self, mut guard: Guard<'a>, deadline: Deadline) -> Result<Guard<'a>> {
        guard.watches.receivers.waiting += 1;
        let overdue = guard.state.overdue_at();
        let mut spinner = std::mem::take(&mut guard.spinner);
        self.leave(guard);
        let peer = self.peer.get().map_or(PollFd::unused(), |peer| PollFd::new(peer.as_fd(), Events::Read));
        let mut fds = [PollFd::new(self.fd(), Events::Read), PollFd::new(self.receivers.as_fd(), Events::Read), peer];
        // A peer that answers one message after another would pay for a wake-up with each of them.
        let now = Deadline::after(Duration::ZERO);
        let spun = spinner.wait_blind(|| poll(&mut fds, now).is_ok_and(|count| count > 0));
        // A message that has begun may be overdue before the deadline; the next look finds out.
        let ready = if spun { Ok(1) } else { poll(&mut fds, deadline.min(overdue)) };
        let ready = ready.map(|count| count.max(usize::from(overdue.passed() && !deadline.passed())));
        let mut guard = self.locked.lock();
        guard.spinner = spinner;
        guard.watches.receivers.waiting -= 1;
        self.waited(guard, ready, RECV)
    }

    pub(super) fn wait_to_send<'a>(&'a self, mut guard: Guard<'a>, deadline: Deadline) -> Result<Guard<'a>> {
        let starved = guard.state.write(self.fd()) == Step::Starved;
        if !guard.state.has_output() && !guard.state.awaits_answer() {
            // The other side has made room since the caller looked: nothing is left that would wake it.
            return Ok(guard);
        }
        guard.watches.senders.waiting += 1;
        let (read, write, answer) = (guard.state.may_read(), guard.state.has_output() && !starved, guard.state.awaits_answer());
        self.leave(guard);
        let when = |wanted: bool, events: Events| if wanted { PollFd::new(self.fd(), events) } else { PollFd::unused() };
        let peer = self.peer.get().filter(|_| read).map_or(PollFd::unused(), |peer| PollFd::new(peer.as_fd(), Events::Read));
        let bell = if answer { PollFd::new(self.senders.as_fd(), Events::Read) } else { PollFd::unused() };
        let mut fds = [when(read, Events::Read), when(write, Events::Write), bell, peer];
        // Nothing tells when the system has places for descriptors or memory again: look from time to time.
        let until = if starved { pause(deadline) } else { deadline };
        let ready = poll(&mut fds, until).map(|count| count.max(usize::from(until.passed() && !deadline.passed())));
        let mut guard = self.locked.lock();
        guard.watches.senders.waiting -= 1;
        self.pump(&mut guard);
        match guard.state.write_starved.error(SEND) {
            Some(error) if guard.state.write_starved.is_over() || matches!(ready, Ok(0)) => {
                self.leave(guard);
                Err(error)
            }
            _ => self.waited(guard, ready, SEND),
        }
    }

    pub(super) fn waited<'a>(&'a self, guard: Guard<'a>, ready: std::io::Result<usize>, operation: &'static str) -> Result<Guard<'a>> {
        let error = match ready {
            Ok(0) => Error::new(ErrorKind::Timeout, operation, "the deadline passed"),
            Ok(_) => return Ok(guard),
            Err(error) => Error::from_io(operation, &error, "cannot wait for the channel"),
        };
        self.leave(guard);
        Err(error)
    }
}

impl Inner {
    /// Writes all that was accepted, at the end of the process. A bare end writes what the socket takes, as Node does.
    pub(in crate::channel::node) fn write_to_the_end(&self, deadline: Deadline) {
        while self.generation == fork::generation() {
            let Some(mut guard) = self.locked.try_lock_for(deadline.remaining().unwrap_or_default()) else { return };
            let step = guard.state.write(self.fd());
            if !guard.state.has_output() || guard.state.is_bare() {
                return;
            }
            drop(guard);
            let until = if step == Step::Starved { pause(deadline) } else { deadline };
            let _ = poll(&mut [PollFd::new(self.fd(), Events::Write)], until);
            if deadline.passed() {
                return;
            }
        }
    }
}

impl Ready for Inner {
    /// On the reactor's thread: a descriptor of the endpoint is ready.
    fn ready(&self) {
        if self.generation != fork::generation() {
            return;
        }
        let mut guard = self.locked.lock();
        guard.watches.spent();
        guard.corked = false;
        if guard.abandoned {
            guard.state.write(self.fd());
            if !guard.state.has_output() {
                return self.finish(guard);
            }
        } else if guard.state.awaits_answer() || guard.state.has_output() {
            self.pump(&mut guard);
        }
        let locked = &mut *guard;
        let wakers: Vec<Waker> = locked.recv_wakers.drain(..).chain(locked.send_wakers.drain(..)).collect();
        self.leave(guard);
        for waker in wakers {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NodeEndpoint, NodeOptions};
    use super::*;

    /// A sender that was refused, and finds all of it written when it is about to wait.
    #[test]
    fn nothing_is_waited_for_once_everything_is_written() -> Result<()> {
        let (mine, _theirs) = crate::sys::socket::pair().map_err(|error| Error::from_io("test", &error, "no pair"))?;
        let end = NodeEndpoint::new(mine, &NodeOptions::default())?;
        let guard = end.0.enter(SEND)?;
        let waited = end.0.wait_to_send(guard, Deadline::after(Duration::from_millis(100)));
        assert!(waited.is_ok());
        Ok(())
    }
}

//! Waiting: for a message, for room, and for either when both sides write.

use super::intake::Receiver;
use super::output::Sender;
use super::{Native, Wait, no_message};
use crate::channel::message::Message;
use crate::channel::starved::pause;
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::shm::ring::{BELL_DATA, FUTEX_DATA, FUTEX_ROOM, Word, take};
use crate::sys::poll::{Events, PollFd, hung_up, poll};
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

/// After this many messages in one direction the receiver looks less often, so that the sender's cache lines stay with the sender.
const STREAM: u32 = 32;
/// Pauses between two looks then, beside the one that is always there; and in a conversation. Found by measuring round trips.
const STREAM_REST: u32 = 4;
const TALK_REST: u32 = 1;

impl Native {
    /// Waits until there may be a message.
    ///
    /// # Errors
    /// `WouldBlock` or `Timeout` when the time is over.
    #[inline]
    pub(super) fn wait_data(&self, receiver: &mut Receiver, wait: Wait) -> Result<()> {
        if self.wait_more(receiver, wait, false)? { Ok(()) } else { Err(no_message(wait)) }
    }

    /// As [`Native::wait_data`]; false when the time is over, which is no error to those who look before they wait, and with `in_rounds` also
    /// every [`ROUND`](crate::deadline::ROUND).
    #[inline]
    pub(super) fn wait_more(&self, receiver: &mut Receiver, wait: Wait, in_rounds: bool) -> Result<bool> {
        let Some(deadline) = wait else { return Ok(false) };
        match receiver.frame_deadline() {
            None => self.wait_data_until(receiver, deadline, in_rounds),
            Some(rest) => self.wait_rest(receiver, deadline.within_a_round(), rest),
        }
    }

    /// As [`Native::wait_more`] while the rest of a frame is due: the end of this wait is the end of the channel, which the next look finds.
    #[cold]
    fn wait_rest(&self, receiver: &mut Receiver, deadline: Deadline, rest: Deadline) -> Result<bool> {
        if rest.passed() {
            return Ok(true);
        }
        let result = self.wait_data_until(receiver, deadline.min(rest), false);
        if rest.passed() { Ok(true) } else { result }
    }

    #[inline]
    fn wait_data_until(&self, receiver: &mut Receiver, deadline: Deadline, in_rounds: bool) -> Result<bool> {
        let Some(ring) = self.line.ring() else { return self.wait_socket(receiver, deadline.within_a_round()) };
        receiver.release(&self.line);
        ring.say_cpu();
        if self.answered.load(Ordering::Relaxed) {
            self.answered.store(false, Ordering::Relaxed);
            receiver.run = 0;
        }
        let rest = if receiver.run > STREAM { STREAM_REST } else { TALK_REST };
        if receiver.spin(&self.line, rest) {
            return Ok(true);
        }
        if deadline.passed() {
            return Ok(false);
        }
        let goes_on = if in_rounds {
            self.line.sleep_a_round(ring, deadline, || receiver.may_have_more(&self.line))
        } else {
            self.line.sleep(ring, FUTEX_DATA, deadline, || receiver.may_have_more(&self.line));
            true
        };
        self.line.check("channel.recv")?;
        Ok(goes_on || receiver.may_have_more(&self.line))
    }

    #[cold]
    fn wait_socket(&self, receiver: &mut Receiver, deadline: Deadline) -> Result<bool> {
        if receiver.may_have_more(&self.line) {
            return Ok(true);
        }
        let ready = poll(&mut [PollFd::new(self.line.socket(), Events::Read)], deadline);
        self.line.check("channel.recv")?;
        Ok(!matches!(ready, Ok(0) if deadline.passed()))
    }

    /// Waits until there may be room for a frame of `len` bytes. Meanwhile what comes is taken in, so that two sides that both write go on.
    #[cold]
    pub(super) fn wait_room(&self, sender: &mut Sender, len: u64, wait: Wait) {
        let Some(deadline) = wait else { return };
        if sender.starved.is_now() {
            let _ = poll(&mut [], pause(deadline));
        }
        let mut receiver = self.try_lead();
        let drained = receiver.as_mut().is_some_and(|receiver| receiver.drain(&self.line));
        if drained || sender.may_have_room(len) && self.line.ring().is_some() {
            receiver.into_iter().for_each(|receiver| self.put_back(receiver));
            return;
        }
        let takes = receiver.as_ref().is_some_and(|receiver| receiver.has_space());
        let Some(ring) = self.line.ring() else {
            drop(receiver);
            let reading = if takes { PollFd::new(self.line.socket(), Events::Read) } else { PollFd::unused() };
            let _ = poll(&mut [PollFd::new(self.line.socket(), Events::Write), reading], deadline);
            return;
        };
        ring.say_cpu();
        let mut spinner = std::mem::take(&mut sender.spinner);
        let spun = spinner.wait(|| ring.peer().cpu.load(Ordering::Relaxed), 0, || sender.may_have_room(len) || self.line.is_over());
        sender.spinner = spinner;
        if spun {
            return;
        }
        match receiver {
            Some(mut receiver) if takes => {
                receiver.release(&self.line);
                let ready = || sender.may_have_room(len) || self.line.is_over() || receiver.may_have_more(&self.line);
                self.line.sleep(ring, FUTEX_ROOM | FUTEX_DATA, deadline, ready);
                self.put_back(receiver);
            }
            receiver => {
                drop(receiver);
                self.line.sleep(ring, FUTEX_ROOM, deadline, || sender.may_have_room(len) || self.line.is_over());
            }
        }
    }

    /// Asks for the data bell to be rung. False when there is something already.
    pub(super) fn arm_bell(&self, receiver: &mut Receiver) -> bool {
        let Some(ring) = self.line.ring() else {
            self.line.quiet();
            return !receiver.is_ready(&self.line);
        };
        if Word::load(&ring.mine().waiting) & BELL_DATA != 0 {
            return true;
        }
        receiver.release(&self.line);
        ring.bells.data.clear();
        Word::set(&ring.mine().waiting, BELL_DATA);
        !receiver.is_ready(&self.line)
    }

    /// The next message if one is there. Unlike `try_recv` this leaves the bell as it is: [`Native::settle`] is to follow.
    pub(in crate::channel) fn take_ready(&self) -> Result<Option<Message>> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else {
            return match self.recv_following(None) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                result => result.map(Some),
            };
        };
        let taken = receiver.take(&self.line);
        if taken.is_err() {
            self.ring_own_bell();
        }
        taken
    }

    /// Looks for a while where that pays, if it is given what to do first meanwhile, and asks for the bell when nothing has come. True when there is
    /// something: the bell rings or will for what comes next.
    pub(in crate::channel) fn settle(&self, meanwhile: Option<&mut dyn FnMut() -> bool>) -> Result<bool> {
        self.line.check("channel.recv")?;
        // Whoever has the lock asks for the bell when he is done, or rings it.
        let Some(mut receiver) = self.try_lead() else { return Ok(false) };
        if receiver.is_ready(&self.line) {
            return Ok(true);
        }
        if let (Some(ring), Some(work)) = (self.line.ring(), meanwhile) {
            receiver.release(&self.line);
            ring.say_cpu();
            if receiver.work(&self.line, work) || receiver.spin(&self.line, 0) || receiver.give_way(&self.line) {
                return Ok(true);
            }
        }
        if self.arm_bell(&mut receiver) {
            return Ok(false);
        }
        self.ring_armed_bell();
        Ok(true)
    }

    /// As [`Native::settle`] for who may not look now but may soon: rings the bell if that pays, so that he is called again. True when there is
    /// something.
    pub(in crate::channel) fn settle_soon(&self) -> Result<bool> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return Ok(false) };
        if !receiver.is_ready(&self.line) && receiver.is_keen(&self.line) {
            receiver.release(&self.line);
            self.ring_armed_bell();
            return Ok(false);
        }
        drop(receiver);
        self.settle(None)
    }

    /// Notes an end that the reactor has yet to see: whoever tells of the peer's exit tells of the end of its channel first.
    pub(in crate::channel) fn look_for_end(&self) {
        if !self.line.is_shut() && !self.line.is_forked() && hung_up(self.line.socket()) {
            self.line.set_gone();
        }
    }

    pub(super) fn ring_own_bell(&self) {
        self.line.ring_own_bell();
    }

    /// Rings a bell that was asked for, as the other side does: whoever finds nothing afterwards asks again, which silences it.
    #[cold]
    pub(super) fn ring_armed_bell(&self) {
        if let Some(ring) = self.line.ring() {
            take(&ring.mine().waiting, BELL_DATA);
        }
        self.ring_own_bell();
    }

    /// One descriptor to poll: readable while there may be something to receive.
    pub(in crate::channel) fn pollable(&self) -> Result<BorrowedFd<'_>> {
        self.line.check("channel.as_fd")?;
        if !self.bell_wanted.swap(true, Ordering::SeqCst) {
            // Whoever holds the lock finds the flag set when it finds nothing.
            let armed = self.try_lead().is_some_and(|mut receiver| self.arm_bell(&mut receiver));
            if !armed {
                self.ring_own_bell();
            }
        }
        Ok(self.line.bell())
    }
}

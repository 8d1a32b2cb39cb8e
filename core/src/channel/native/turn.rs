//! Whose turn it is to send, and the rest of a frame that nobody waits for.

use super::held::Held;
use super::line::Line;
use super::output::Sender;
use super::would_block;
use crate::error::Result;
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::shm::ring::{BELL_ROOM, Word};
use crate::sys::cpu::fence_after_unlock;
use parking_lot::{Mutex, MutexGuard};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

/// The sender of an end, for one thread at a time.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The reactor had room for the rest of a frame and found the sender taken: whoever has it looks again once it is given back.
    missed: AtomicBool,
    sender: Mutex<Sender>,
    /// Sends what is left of a frame when nobody waits for it.
    pump: Mutex<Option<Arc<Pump>>>,
}

impl Outlet {
    pub(super) fn new(sender: Sender) -> Arc<Outlet> {
        Arc::new(Outlet { missed: AtomicBool::new(false), sender: Mutex::new(sender), pump: Mutex::new(None) })
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<Turn<'_>> {
        self.sender.try_lock().map(|sender| self.turn(sender))
    }

    pub(super) fn lock(&self) -> Turn<'_> {
        self.turn(self.sender.lock())
    }

    pub(super) fn try_lock_until(&self, at: Instant) -> Option<Turn<'_>> {
        self.sender.try_lock_until(at).map(|sender| self.turn(sender))
    }

    #[inline]
    fn turn<'a>(&'a self, sender: MutexGuard<'a, Sender>) -> Turn<'a> {
        Turn::new(sender, After(self))
    }

    /// Leaves the rest of a frame to the reactor.
    pub(super) fn leave_to_reactor(self: &Arc<Outlet>, line: &Arc<Line>, sender: &mut Sender) -> Result<()> {
        let mut pump = self.pump.lock();
        let pump = pump.get_or_insert_with(|| Arc::new(Pump { line: Arc::downgrade(line), outlet: Arc::downgrade(self), watch: Mutex::new(None) }));
        // Each time, because the last rest that went disarmed it; and before another attempt, because room that came until now rang nothing.
        pump.arm()?;
        if sender.pump(line)? {
            pump.stop();
        }
        Ok(())
    }

    /// Stops what sends the rest of a frame.
    pub(super) fn stop_pump(&self) {
        if let Some(pump) = self.pump.lock().take() {
            pump.stop();
        }
    }

    /// What the reactor could not do meanwhile.
    #[cold]
    fn look_again(&self) {
        self.missed.store(false, Ordering::SeqCst);
        let pump = self.pump.lock().clone();
        if let Some(pump) = pump {
            let _ = pump.run();
        }
    }
}

/// The sender while it is one's turn.
pub(super) type Turn<'a> = Held<'a, Sender, After<'a>>;

/// On drop does what the reactor could not while the sender was taken.
pub(super) struct After<'a>(&'a Outlet);

impl Drop for After<'_> {
    #[inline]
    fn drop(&mut self) {
        // Unlocking comes before the look at the mark, as marking comes before the reactor's second attempt: one of the two sees the other.
        fence_after_unlock();
        if self.0.missed.load(Ordering::SeqCst) {
            self.0.look_again();
        }
    }
}

/// Sends the rest of a frame whenever there is room.
#[derive(Debug)]
struct Pump {
    line: Weak<Line>,
    outlet: Weak<Outlet>,
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
    fn stop(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
    }

    fn run(self: &Arc<Pump>) -> Result<()> {
        let (Some(line), Some(outlet)) = (self.line.upgrade(), self.outlet.upgrade()) else { return Ok(()) };
        if line.is_shut() || line.is_over() {
            return Ok(());
        }
        // Armed before the attempt: room that comes after it rings the bell.
        self.arm()?;
        let Some(mut sender) = outlet.try_lock().or_else(|| {
            // Whoever has it may have looked for room before there was some.
            outlet.missed.swap(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            outlet.try_lock()
        }) else {
            return Err(would_block("channel.send", "busy"));
        };
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

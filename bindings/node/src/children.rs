//! The children of one environment and their pipes, watched in its event loop.

use crate::child_stream::{Stop, Stream, Task, drain};
use crate::keeper::{Hold, Keeper};
use procs::{Child, Collector, Exit, PipeReader, ReadySet};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What happened to a child.
pub(crate) enum Notice {
    /// It ended.
    Exit(u32, Exit),
    /// Its program was not executed, for this errno, which a start that was not waited for tells only now.
    Failed(u32, i32),
    /// A collected or discarded stream of this number has ended.
    End(u32, u32),
    /// A collected stream has exceeded its limit and is not read any more.
    Over(u32, u32),
    /// Something can be received from a channel.
    Link(u32),
    /// It is about to end: is its output read? Else the end is told a turn of the loop later, because what a child wrote comes before it.
    Ending(u32),
}

const NONE: f64 = -1.0;
const EINVAL: i32 = 22;

impl Notice {
    /// Number of the child, what, and its figures: for an exit code, signal, user ms, system ms, peak bytes.
    pub(crate) fn numbers(&self) -> [f64; 7] {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        match self {
            Notice::Exit(id, exit) => {
                let number = |value: Option<i32>| value.map_or(NONE, f64::from);
                let (user, system, peak) = exit
                    .usage
                    .map_or((NONE, NONE, NONE), |usage| (milliseconds(usage.user_time), milliseconds(usage.system_time), usage.max_rss_bytes as f64));
                [f64::from(*id), 0.0, number(exit.status.code()), number(exit.status.signal()), user, system, peak]
            }
            Notice::Failed(id, errno) => [f64::from(*id), 5.0, f64::from(*errno), NONE, NONE, NONE, NONE],
            Notice::End(id, fd) => [f64::from(*id), 1.0, f64::from(*fd), NONE, NONE, NONE, NONE],
            Notice::Ending(id) => [f64::from(*id), 4.0, NONE, NONE, NONE, NONE, NONE],
            Notice::Link(id) => [f64::from(*id), 3.0, NONE, NONE, NONE, NONE, NONE],
            Notice::Over(id, fd) => [f64::from(*id), 2.0, f64::from(*fd), NONE, NONE, NONE, NONE],
        }
    }
}

/// One child and those of its pipes that nobody took.
struct Entry {
    /// Until its end was told.
    child: Option<Child>,
    /// Keeps the loop alive until then, unless that is not wanted.
    hold: Option<Hold>,
    /// The pipes of a child that has ended.
    left: [Option<PipeReader>; 2],
    streams: [Option<Stream>; 2],
    /// Whether JavaScript reads an output, and was asked whether it is through with that.
    taken: bool,
    asked: bool,
}

/// Everything that runs or still has unread output. Belongs to one thread.
pub(crate) struct Children {
    set: Arc<ReadySet>,
    entries: RefCell<HashMap<u32, Entry, BuildHasherDefault<Spread>>>,
    keeper: Rc<Keeper>,
    /// What the set has answered and nobody was told yet.
    ready: RefCell<VecDeque<u64>>,
    /// Why the program of the child that was told last as failed was not executed.
    failure: Cell<Option<procs::Error>>,
    /// The child whose end is just being told: what it used is let go of once somebody knows.
    told: Cell<Option<Child>>,
    /// Whether the set has ever had channels.
    links: Cell<bool>,
}

/// What stands for the child itself in the numbers of the set.
const CHILD: u32 = 0;
/// What stands for a channel.
const LINK: u32 = 3;

fn number(id: u32, fd: u32) -> u64 {
    u64::from(id) << 2 | u64::from(fd)
}

/// The numbers are this environment's own, one after the other: nobody chooses them to collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The map looks at the lowest and at the highest bits.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Children {
    pub(crate) fn new(keeper: &Rc<Keeper>) -> procs::Result<Children> {
        let (set, keeper) = (Arc::new(ReadySet::new()?), keeper.clone());
        Ok(Children {
            set,
            keeper,
            entries: RefCell::default(),
            ready: RefCell::default(),
            failure: Cell::default(),
            told: Cell::default(),
            links: Cell::default(),
        })
    }

    /// What is ready when something has happened.
    pub(crate) fn set(&self) -> &Arc<ReadySet> {
        &self.set
    }

    /// Watches a child that has just been started.
    pub(crate) fn add(&self, id: u32, child: Child) -> procs::Result<()> {
        if let Err(error) = self.set.add(&child, number(id, CHILD)) {
            // A child whose end nobody would hear of is not handed out.
            child.kill()?;
            return Err(error);
        }
        let entry =
            Entry { child: Some(child), hold: Some(Hold::new(&self.keeper)), left: [None, None], streams: [None, None], taken: false, asked: false };
        self.entries.borrow_mut().insert(id, entry);
        Ok(())
    }

    /// Whether the loop stays alive until a child that has not ended does.
    pub(crate) fn hold(&self, id: u32, hold: bool) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id).filter(|entry| entry.child.is_some()) {
            entry.hold = hold.then(|| Hold::new(&self.keeper));
        }
    }

    /// Watches a channel, which has a number like a child, until it is closed.
    pub(crate) fn add_link(&self, id: u32, link: &impl AsFd) -> procs::Result<()> {
        self.links.set(true);
        self.set.add(link, number(id, LINK))
    }

    pub(crate) fn remove_link(&self, link: &impl AsFd) {
        let _ = self.set.remove(link);
    }

    /// Calls `f` with a child that has not ended.
    pub(crate) fn with<T>(&self, id: u32, f: impl FnOnce(&mut Child) -> T) -> Option<T> {
        self.entries.borrow_mut().get_mut(&id).and_then(|entry| entry.child.as_mut()).map(f)
    }

    /// Tells what has happened. `tell` may use this again; what it answers matters for [`Notice::Ending`].
    pub(crate) fn look(&self, tell: impl Fn(Notice) -> bool) {
        while self.look_at_one(&tell) {}
    }

    /// Tells one thing that has happened. True when others are known.
    pub(crate) fn look_at_one(&self, tell: impl Fn(Notice) -> bool) -> bool {
        let next = self.ready.borrow_mut().pop_front();
        let Some(number) = next.or_else(|| self.lone_child()).or_else(|| self.first_ready()) else { return false };
        let (id, fd) = ((number >> 2) as u32, (number & 3) as u32);
        let notice = match fd {
            CHILD if self.asks(id) && !tell(Notice::Ending(id)) => None,
            CHILD => self.ended(id),
            LINK => Some(Notice::Link(id)),
            fd => self.readable(id, fd),
        };
        if let Some(notice) = notice {
            tell(notice);
            self.let_go();
        }
        !self.ready.borrow().is_empty()
    }

    /// The child that alone can have been meant, of which the set need not be asked.
    fn lone_child(&self) -> Option<u64> {
        let entries = self.entries.borrow();
        if entries.len() != 1 || self.links.get() {
            return None;
        }
        let (id, entry) = entries.iter().next()?;
        let alone = entry.child.is_some() && entry.streams.iter().all(Option::is_none);
        alone.then(|| number(*id, CHILD))
    }

    /// Asks the set, and gives the first answer. Ends of children come last, as libuv tells them.
    fn first_ready(&self) -> Option<u64> {
        let mut numbers = Vec::with_capacity(8);
        self.set.ready(&mut numbers).ok()?;
        numbers.sort_by_key(|number| (number & 3) as u32 == CHILD);
        let mut ready = self.ready.borrow_mut();
        ready.extend(numbers);
        ready.pop_front()
    }

    /// Whether JavaScript is to be asked before the end is told; once.
    fn asks(&self, id: u32) -> bool {
        let mut entries = self.entries.borrow_mut();
        entries.get_mut(&id).is_some_and(|entry| entry.taken && !std::mem::replace(&mut entry.asked, true))
    }

    fn ended(&self, id: u32) -> Option<Notice> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id)?;
        let child = entry.child.as_mut()?;
        // Not reaped yet when the child's group is just being dealt with: the set tells again.
        let failure = match child.try_wait() {
            Ok(None) => return None,
            Ok(Some(_)) => None,
            Err(error) => Some(error),
        };
        let exit = child.exit()?;
        let mut child = entry.child.take()?;
        entry.hold = None;
        entry.left = [child.stdout.take(), child.stderr.take()];
        if entry.is_done() {
            entries.remove(&id);
        }
        self.let_go();
        self.told.set(Some(child));
        Some(match failure {
            None => Notice::Exit(id, exit),
            Some(error) => {
                let errno = error.os_error().unwrap_or(EINVAL);
                self.failure.set(Some(error));
                Notice::Failed(id, errno)
            }
        })
    }

    /// Gives back the descriptor of the child whose end was told last.
    pub(crate) fn let_go(&self) {
        if let Some(child) = self.told.take() {
            let _ = self.set.remove(&child);
        }
    }

    /// Why the program of the child that was told last as failed was not executed; once.
    pub(crate) fn take_failure(&self) -> Option<procs::Error> {
        self.failure.take()
    }

    /// Reads on.
    fn readable(&self, id: u32, fd: u32) -> Option<Notice> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id)?;
        let slot = entry.streams.get_mut(fd as usize - 1)?;
        let stream = slot.as_mut()?;
        let notice = stream.read_on(&self.set).map(|stop| match stop {
            Stop::Ended => Notice::End(id, fd),
            Stop::Exceeded => Notice::Over(id, fd),
        });
        if matches!(notice, Some(Notice::End(..))) && matches!(stream.task, Task::Discard) {
            *slot = None;
            if entry.is_done() {
                entries.remove(&id);
            }
        }
        notice
    }

    /// Begins to read an output here, unless somebody took it: ahead, or with a limit for good. True when there is one.
    pub(crate) fn read(&self, id: u32, fd: u32, keep: Option<usize>) -> procs::Result<bool> {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else { return Ok(false) };
        let Some(pipe) = entry.take_pipe(fd) else { return Ok(false) };
        entry.streams[fd as usize - 1] = Some(self.stream(pipe, number(id, fd), keep.map_or(Task::Ahead, Task::Keep))?);
        Ok(true)
    }

    fn stream(&self, pipe: PipeReader, number: u64, task: Task) -> procs::Result<Stream> {
        let mut stream = Stream::new(&self.set, pipe, number, task)?;
        stream.hold = stream.is_told().then(|| Hold::new(&self.keeper));
        Ok(stream)
    }

    /// Throws away what is left of an output. True when that ends later, with a notice.
    pub(crate) fn discard(&self, id: u32, fd: u32) -> procs::Result<bool> {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else { return Ok(false) };
        let mut pipe = entry.take_pipe(fd);
        if let Some(mut stream) = entry.streams[fd as usize - 1].take() {
            stream.unwatch(&self.set);
            pipe = stream.collector.take_pipe();
        }
        let pending = match pipe {
            Some(pipe) => drain(pipe)?,
            None => None,
        };
        let later = pending.is_some();
        if let Some(pipe) = pending {
            entry.streams[fd as usize - 1] = Some(self.stream(pipe, number(id, fd), Task::Discard)?);
        } else if entry.is_done() {
            entries.remove(&id);
        }
        Ok(later)
    }

    /// The collected bytes of an output, and how many of them came before the read that exceeded the limit; once.
    pub(crate) fn collected(&self, id: u32, fd: u32) -> Option<(Collector, usize)> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id)?;
        let mut stream = entry.streams[fd as usize - 1].take()?;
        stream.unwatch(&self.set);
        if entry.is_done() {
            entries.remove(&id);
        }
        Some((stream.collector, stream.within))
    }

    /// What was read ahead of an output; its pipe can be taken afterwards.
    pub(crate) fn ahead(&self, id: u32, fd: u32) -> Option<Collector> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id)?;
        let mut stream = entry.streams[fd as usize - 1].take()?;
        stream.unwatch(&self.set);
        entry.left[fd as usize - 1] = stream.collector.take_pipe();
        Some(stream.collector)
    }

    /// The host's end of a pipe that nobody took yet.
    pub(crate) fn take(&self, id: u32, fd: i32) -> Option<std::os::fd::OwnedFd> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id)?;
        entry.taken |= fd > 0;
        let end = match fd {
            0 => entry.child.as_mut().and_then(|child| child.stdin.take()).map(Into::into),
            1 | 2 => entry.take_pipe(fd as u32).map(Into::into),
            other => entry.child.as_mut().and_then(|child| child.take_fd(other)),
        };
        if entry.is_done() {
            entries.remove(&id);
        }
        end
    }
}

impl AsFd for Children {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

impl Entry {
    fn take_pipe(&mut self, fd: u32) -> Option<PipeReader> {
        let running = match (&mut self.child, fd) {
            (Some(child), 1) => child.stdout.take(),
            (Some(child), 2) => child.stderr.take(),
            _ => None,
        };
        running.or_else(|| self.left[fd as usize - 1].take())
    }

    /// Whether nothing more can come of it.
    fn is_done(&self) -> bool {
        self.child.is_none() && self.left.iter().all(Option::is_none) && self.streams.iter().all(Option::is_none)
    }
}

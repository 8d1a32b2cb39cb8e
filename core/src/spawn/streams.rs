//! The descriptors of a child: pipes made, files opened, streams inherited.

use super::command::Command;
use super::plan::{needs_spawner, refuse};
use super::stdio::{Kind, Stdio};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::sys::child::FdMove;
use crate::sys::{fd, socket};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

/// The host's ends of pipes, by the child's number.
#[derive(Debug, Default)]
pub(super) struct HostEnds(Vec<(RawFd, OwnedFd)>);

impl HostEnds {
    /// Gives one away.
    pub(super) fn take(&mut self, child_fd: RawFd) -> Option<OwnedFd> {
        let index = self.0.iter().position(|entry| entry.0 == child_fd)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// The descriptors of a start: what the child gets, and what the host keeps.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) moves: Vec<FdMove>,
    /// Ends that are the child's, closed in the host once it runs.
    pub(super) childs: Vec<OwnedFd>,
    /// The host's ends of pipes, by the child's number.
    pub(super) hosts: HostEnds,
    /// Descriptors that copy another one of the child: (number, of).
    same: Vec<(RawFd, RawFd)>,
    pipe_size: Option<u32>,
    /// Whether the descriptions behind 0 to 2 are made blocking.
    blocking: bool,
    /// Streams 0 to 2 that are known to block, bit n for n: made for this start, or made so.
    blocks: u8,
    /// /dev/null, open for this start, whose every use of it shares the description.
    null: Option<RawFd>,
    /// Whether the start may outlive the call that asked for it, and with it the descriptors that the caller lends.
    outlives_call: bool,
}

impl Streams {
    /// Makes and opens everything. Descriptors given by value move out of the command.
    pub(super) fn open(command: &mut Command, defaults: [Stdio; 3]) -> Result<Streams> {
        let mut streams = Streams {
            pipe_size: command.start.pipe_size,
            blocking: command.start.blocking_stdio,
            outlives_call: needs_spawner(&command.start),
            ..Streams::default()
        };
        command.stdio.iter().try_for_each(|(target, stdio)| check_lent(*target, &stdio.0))?;
        for (target, default) in (0..3).zip(defaults) {
            if command.stdio.is_empty() || command.stdio.get(target).is_none() {
                streams.add(target, default.0)?;
            }
        }
        if !command.stdio.is_empty() {
            streams.open_named(command)?;
        }
        if streams.moves.len() > 1 {
            streams.moves.sort_unstable_by_key(|entry| entry.target);
        }
        if streams.blocking {
            streams.make_blocking()?;
        }
        Ok(streams)
    }

    /// What the command names.
    #[inline(never)]
    fn open_named(&mut self, command: &mut Command) -> Result<()> {
        for (target, stdio) in command.stdio.iter_mut() {
            if *target < 0 {
                return Err(refuse(format!("descriptor number is negative (fd = {target}, expected 0 or more)")));
            }
            let taken = match &stdio.0 {
                Kind::Fd(_) => std::mem::replace(&mut stdio.0, Kind::Used),
                Kind::Used => {
                    let detail = format!("the descriptor given for {target} was used up by an earlier start");
                    return Err(Error::new(ErrorKind::InvalidState, "spawn", detail).with_stage(Stage::Stdio));
                }
                other => other.copy(),
            };
            self.add(*target, taken)?;
        }
        self.resolve_same()
    }

    /// Each "same as" once what it names is known, through any number of others.
    fn resolve_same(&mut self) -> Result<()> {
        let mut pending = std::mem::take(&mut self.same);
        while let Some(index) = pending.iter().position(|(_, of)| pending.iter().all(|(target, _)| target != of)) {
            let (target, of) = pending.swap_remove(index);
            let source = self.source_of(target, of)?;
            self.moves.push(FdMove { source, target });
        }
        match pending.first() {
            None => Ok(()),
            Some((target, of)) => {
                let detail = format!("descriptor {target} shall be the same as {of}, which is the same as {target} (expected one that is something)");
                Err(refuse(detail))
            }
        }
    }

    fn add(&mut self, target: RawFd, kind: Kind) -> Result<()> {
        let source = match kind {
            Kind::Inherit => match self.inherit(target)? {
                Some(source) => source,
                None => return Ok(()),
            },
            Kind::Same(of) => {
                self.same.push((target, of));
                return Ok(());
            }
            kind => self.open_one(target, kind)?,
        };
        self.moves.push(FdMove { source, target });
        Ok(())
    }

    #[inline(never)]
    fn open_one(&mut self, target: RawFd, kind: Kind) -> Result<RawFd> {
        let failed =
            |error: io::Error| Error::from_io("spawn", &error, format!("cannot make descriptor {target} of the child")).with_stage(Stage::Stdio);
        if (0..=2).contains(&target) && matches!(kind, Kind::Null | Kind::Pipe) {
            self.blocks |= 1 << target;
        }
        Ok(match kind {
            Kind::Null => self.null().map_err(failed)?,
            Kind::Pipe => {
                let (host, child) = pipe_for(target, self.pipe_size).map_err(failed)?;
                self.hosts.0.push((target, host));
                self.childs_end(child)
            }
            Kind::Fd(fd) => self.childs_end(fd::above_stdio(fd).map_err(failed)?),
            Kind::Borrowed(number) if self.outlives_call => self.childs_end(fd::duplicate(number, 3).map_err(failed)?),
            Kind::Borrowed(number) => number,
            Kind::Open { path, flags, mode } => {
                let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| refuse(format!("path contains a NUL byte (path = {path:?})")))?;
                let open = fd::open(&name, flags, mode).map_err(|error| {
                    Error::from_io("spawn", &error, format!("cannot open file (path = {path:?})")).with_stage(Stage::Stdio).with_path(&path)
                })?;
                self.childs_end(open)
            }
            Kind::Used | Kind::Inherit | Kind::Same(_) => -1,
        })
    }

    /// Makes the descriptions behind 0 to 2 blocking.
    fn make_blocking(&self) -> Result<()> {
        for target in (0..=2).filter(|target| self.blocks & 1 << target == 0) {
            let number = self.moves.iter().find(|entry| entry.target == target && entry.source >= 0).map_or(target, |entry| entry.source);
            fd::make_blocking(number).map_err(|error| not_blocking(target, &error))?;
        }
        Ok(())
    }

    fn null(&mut self) -> io::Result<RawFd> {
        if let Some(null) = self.null {
            return Ok(null);
        }
        let null = self.childs_end(fd::open(c"/dev/null", libc::O_RDWR, 0)?);
        self.null = Some(null);
        Ok(null)
    }

    fn childs_end(&mut self, fd: OwnedFd) -> RawFd {
        let number = fd.as_raw_fd();
        self.childs.push(fd);
        number
    }

    /// The host's descriptor of the same number, -1 when it can stay as it is, `None` when nothing need be said of it; a standard stream that the host
    /// has closed, or keeps for itself by close-on-exec, becomes /dev/null.
    fn inherit(&mut self, target: RawFd) -> Result<Option<RawFd>> {
        if self.blocking && target <= 2 {
            return self.inherit_blocking(target).map(Some);
        }
        match fd::is_close_on_exec(target) {
            Some(false) if target <= 2 => Ok(None),
            Some(false) => Ok(Some(-1)),
            // Closed, or what somebody has just opened for himself where a host has closed its stream: a pipe of another start, for a moment.
            None | Some(true) if target <= 2 => self.inherit_closed().map(Some),
            Some(true) => Ok(Some(target)),
            None => Err(not_open(format!("descriptor to inherit is not open (fd = {target}, expected an open descriptor)"))),
        }
    }

    /// The same for a standard stream that is made blocking, with one system call: the child takes close-on-exec off it, whether it is set or not.
    fn inherit_blocking(&mut self, target: RawFd) -> Result<RawFd> {
        self.blocks |= 1 << target;
        match fd::make_blocking(target) {
            Ok(()) => Ok(target),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => self.inherit_closed(),
            Err(error) => Err(not_blocking(target, &error)),
        }
    }

    fn inherit_closed(&mut self) -> Result<RawFd> {
        self.null().map_err(|error| Error::from_io("spawn", &error, "cannot open /dev/null").with_stage(Stage::Stdio))
    }

    /// The host's descriptor behind another descriptor of the child.
    fn source_of(&self, target: RawFd, of: RawFd) -> Result<RawFd> {
        match self.moves.iter().find(|entry| entry.target == of) {
            Some(entry) if entry.source < 0 => Ok(of),
            Some(entry) => Ok(entry.source),
            None if (0..=2).contains(&of) => Ok(of),
            None => Err(refuse(format!("descriptor {target} shall be the same as {of}, which is not set (expected a descriptor of this child)"))),
        }
    }
}

fn not_blocking(target: RawFd, error: &io::Error) -> Error {
    Error::from_io("spawn", error, format!("cannot make descriptor {target} of the child blocking")).with_stage(Stage::Stdio)
}

fn not_open(detail: String) -> Error {
    Error::from_os("spawn", libc::EBADF, detail).with_stage(Stage::Stdio)
}

/// Descriptors of the host must be open before the first of this start is made: that one may get the number of one that is not.
fn check_lent(target: RawFd, kind: &Kind) -> Result<()> {
    match *kind {
        Kind::Borrowed(number) if !fd::is_open(number) => {
            Err(not_open(format!("descriptor is not open (fd {target} = {number}, expected an open descriptor)")))
        }
        Kind::Inherit if target > 2 && !fd::is_open(target) => {
            Err(not_open(format!("descriptor to inherit is not open (fd = {target}, expected an open descriptor)")))
        }
        _ => Ok(()),
    }
}

/// The host's end and the child's end. Standard streams are pipes (a child may reopen /dev/stdout), from 3 up socket pairs, as in Node.
fn pipe_for(target: RawFd, size: Option<u32>) -> io::Result<(OwnedFd, OwnedFd)> {
    if target > 2 {
        return socket::pair();
    }
    let (read, write) = fd::pipe()?;
    if let Some(size) = size {
        fd::grow_pipe(read.as_fd(), size as usize);
    }
    Ok(if target == 0 { (write, read) } else { (read, write) })
}

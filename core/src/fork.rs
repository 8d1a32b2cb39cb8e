//! A command with a channel to its child, and the one order of what happens to it.

use crate::channel::handoff::{NATIVE_VARIABLE, NODE_MODE_VARIABLE, NODE_VARIABLE, announcement, is_node_script};
use crate::channel::peer::PeerProcess;
use crate::channel::{Channel, ChannelOptions, Message, Request, Wire};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::spawn::{Child, ChildHandle, Command, ExitStatus, Stdio};
use std::any::Any;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

impl Command {
    /// Starts the child with a channel to it, with default options.
    ///
    /// The child finds its end by [`Channel::from_env`], or the call of that name in its language. Everything else is as in
    /// [`spawn`](Command::spawn).
    ///
    /// A program whose name ends in `.js`, `.mjs` or `.cjs` is a script that `node`, found in the child's PATH, runs with the arguments; it
    /// talks to this process by `process.send` and `'message'` as to a parent that is Node itself ([`Wire::Node`]).
    ///
    /// # Errors
    /// As [`spawn`](Command::spawn); `Exhausted` when there is no descriptor or memory for the channel. No process is left.
    ///
    /// # Example
    /// ```no_run
    /// use procs::{Command, Message};
    /// let (mut child, channel) = Command::new("./worker").fork()?;
    /// channel.send(Message::json(&serde_json::json!({ "job": 1 }))?)?;
    /// println!("{}", channel.recv()?.to_json()?);
    /// channel.close();
    /// child.wait()?;
    /// # Ok::<(), procs::Error>(())
    /// ```
    pub fn fork(&mut self) -> Result<(Child, Channel)> {
        self.fork_with(&ChannelOptions::default())
    }

    /// As [`fork`](Command::fork), with options for this end. The child chooses its own when it takes its end, except for the size of the
    /// rings.
    ///
    /// # Errors
    /// As there.
    pub fn fork_with(&mut self, options: &ChannelOptions) -> Result<(Child, Channel)> {
        let number = self.free_fd();
        let (channel, child) = match options.wire.for_program(self.get_program()) {
            Wire::Node => {
                let (channel, fd) = Channel::node_pair(options)?;
                let variables = [(NODE_VARIABLE, number.to_string().into()), (NODE_MODE_VARIABLE, "json".into())];
                (channel, self.spawn_announcing(number, fd, &variables)?)
            }
            Wire::Native | Wire::Auto => {
                let (channel, theirs) = Channel::pair_with(options)?;
                let fd = theirs.into_fd()?;
                let variables = [(NATIVE_VARIABLE, announcement(&fd, number)?)];
                (channel, self.spawn_announcing(number, fd, &variables)?)
            }
        };
        channel.set_peer(Arc::new(child.handle().clone()))?;
        Ok((child, channel))
    }

    /// Spawns with one more descriptor and some more variables, which the command does not keep.
    fn spawn_announcing(&mut self, number: RawFd, fd: OwnedFd, variables: &[(&str, OsString)]) -> Result<Child> {
        let changes = self.env.len();
        self.fd(number, Stdio::fd(fd));
        for (name, value) in variables {
            self.env(name, value);
        }
        // A script is an argument of Node, whatever its mode and first line say.
        let script = is_node_script(&self.program).then(|| {
            // Written out while argument 0 is still the script.
            let argv = self.argv_mut().clone();
            (std::mem::replace(&mut self.program, "node".into()), argv)
        });
        if let Some((script, argv)) = &script {
            *self.argv_mut() = [&OsString::from("node"), script].into_iter().chain(argv.iter().skip(1)).cloned().collect();
        }
        let child = self.spawn();
        if let Some((script, argv)) = script {
            *self.argv_mut() = argv;
            self.program = script;
        }
        self.env.truncate(changes);
        self.stdio.remove(number);
        child
    }
}

impl PeerProcess for ChildHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        AsFd::as_fd(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What happens on a channel: messages in their order, then its end, then the end of the child.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message came.
    Message(Message),
    /// The other side called; a request that is dropped fails there.
    Request(Request),
    /// Every message was given and no more comes.
    Closed,
    /// The child has ended. Only on the channel of [`Command::fork`], and always last.
    Exited(ExitStatus),
}

impl Channel {
    /// Waits for what happens next: each message and each call of the other side, then once [`Event::Closed`], then, where the child is known, once [`Event::Exited`]. `None`
    /// when the time is over first. Without a timeout, waits as long as it takes.
    ///
    /// Every message that the child sent before it ended comes before its end. A child that closes its end and runs on is waited for; one that
    /// ends while a process of its own holds the channel open has ended.
    ///
    /// # Errors
    /// - `Closed`: all of this was given before.
    /// - As [`recv`](Channel::recv) for a message that cannot be received; `Closed` and `Exited` still follow.
    pub fn next_event(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let deadline = Deadline::from_timeout(timeout);
        if !self.end_was_told() {
            match self.next_of_both(deadline) {
                Ok(Ok(message)) => return Ok(Some(Event::Message(message))),
                Ok(Err(request)) => return Ok(Some(Event::Request(request))),
                Err(error) if error.kind() == ErrorKind::Timeout => return Ok(None),
                Err(error) if error.kind() != ErrorKind::Closed => return Err(error),
                Err(_) if self.tell_end() => return Ok(Some(Event::Closed)),
                Err(_) => {}
            }
        }
        match self.peer().and_then(|peer| peer.as_any().downcast_ref::<ChildHandle>()) {
            Some(child) if !self.exit_was_told() => {
                let status = child.wait_deadline(deadline)?;
                Ok(status.filter(|_| self.tell_exit()).map(Event::Exited))
            }
            _ => Err(Error::new(ErrorKind::Closed, "channel.next_event", "the end of the channel was told before")),
        }
    }
}

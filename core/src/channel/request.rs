//! Calls as their users see them: who asks, who serves.

use super::call::RemoteFailure;
use super::channel::Channel;
use super::control::FailureBody;
use super::message::Message;
use super::native::{Asked, Native};
use super::unsent::SendError;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::Watch;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A call of the other side, to be answered once: by a reply, by parts and their end, or by a failure. May be moved to another thread and
/// outlive the channel's handle.
///
/// # Drop
/// A request that was not answered fails for the caller.
pub struct Request {
    // First, so that the watch goes before what it watches.
    pub(super) watch: Option<Watch>,
    pub(super) native: Arc<Native>,
    pub(super) id: u64,
    message: Message,
    pub(super) answered: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("message", &self.message).finish()
    }
}

impl Request {
    pub(super) fn new(native: Arc<Native>, asked: Asked) -> Request {
        Request { watch: None, native, id: asked.id, message: asked.message, answered: false }
    }

    /// What the caller sent.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Takes what the caller sent out of the request.
    pub fn take_message(&mut self) -> Message {
        std::mem::take(&mut self.message)
    }

    /// Whether the caller takes several replies ([`Channel::call_stream`]).
    pub fn takes_parts(&self) -> bool {
        self.native.takes_parts(self.id)
    }

    /// Whether the caller has given up: its time is over, it has dropped the call, or it is gone. What is replied then is dropped.
    pub fn is_cancelled(&self) -> bool {
        self.native.is_cancelled(self.id)
    }

    /// Answers with this message, which is the last of the parts if there were any.
    ///
    /// # Errors
    /// As [`Channel::send`], with the message; `Cancelled` when the caller no longer wants it.
    pub fn reply(mut self, message: Message) -> std::result::Result<(), SendError> {
        let sent = self.native.send_reply(self.id, &message, Some(Deadline::NEVER));
        self.answered = matches!(sent, Ok(true));
        said(sent, message)
    }

    /// As [`Request::reply`], but waits until the deadline only; `None` is not at all. The request is still there to be answered after an
    /// error.
    ///
    /// # Errors
    /// As there, and `Timeout`, or `WouldBlock` without a deadline.
    pub fn reply_until(&mut self, message: Message, deadline: Option<Deadline>) -> std::result::Result<(), SendError> {
        let sent = self.native.send_reply(self.id, &message, deadline);
        self.answered = matches!(sent, Ok(true));
        said(sent, message)
    }

    /// Sends one of several replies; waits until the caller takes more.
    ///
    /// # Errors
    /// As [`Request::reply`]; `InvalidState` when the caller takes one reply.
    pub fn reply_part(&self, message: Message) -> std::result::Result<(), SendError> {
        self.reply_part_until(message, Some(Deadline::NEVER))
    }

    /// As [`Request::reply_part`], but waits until the deadline only; `None` is not at all.
    ///
    /// # Errors
    /// As there, and `Timeout`, or `WouldBlock` without a deadline.
    pub fn reply_part_until(&self, message: Message, deadline: Option<Deadline>) -> std::result::Result<(), SendError> {
        said(self.native.send_part(self.id, &message, deadline), message)
    }

    /// Ends the parts.
    pub fn finish(mut self) {
        self.answered = true;
        self.native.end_call(self.id, None);
    }

    /// Answers that it failed; the caller's error is `TaskFailed` and says this.
    pub fn fail(mut self, failure: impl Into<RemoteFailure>) {
        self.send_failure(ErrorKind::TaskFailed, failure.into());
    }

    fn send_failure(&mut self, kind: ErrorKind, failure: RemoteFailure) {
        let RemoteFailure { name, message, trace } = failure;
        self.answered = true;
        self.native.end_call(self.id, Some(&FailureBody { kind, name, message, trace }));
    }
}

pub(super) fn said(sent: Result<bool>, message: Message) -> std::result::Result<(), SendError> {
    match sent {
        Ok(true) => Ok(()),
        Ok(false) => Err(SendError::new(Error::new(ErrorKind::Cancelled, "request.reply", "the caller no longer wants a reply"), message)),
        Err(error) => Err(SendError::new(error, message)),
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            self.send_failure(ErrorKind::TaskFailed, RemoteFailure::from("the request was dropped without a reply"));
        }
    }
}

impl From<&str> for RemoteFailure {
    /// Only a message.
    fn from(message: &str) -> RemoteFailure {
        RemoteFailure { name: String::new(), message: message.to_owned(), trace: String::new() }
    }
}

impl From<String> for RemoteFailure {
    /// Only a message.
    fn from(message: String) -> RemoteFailure {
        RemoteFailure { name: String::new(), message, trace: String::new() }
    }
}

impl From<&Error> for RemoteFailure {
    /// The name of the kind and the text of the error.
    fn from(error: &Error) -> RemoteFailure {
        RemoteFailure { name: error.kind().name().to_owned(), message: error.to_string(), trace: String::new() }
    }
}

impl Channel {
    /// Calls the other side and waits for its reply, at most this long.
    ///
    /// Any number of threads may call at once, beside others that receive; one of them reads for all. The other side answers by
    /// [`Channel::serve`], [`Channel::next_request`] or [`Channel::next_event`].
    ///
    /// # Errors
    /// - `Timeout`: no reply in time; the other side is told, and what it still replies is dropped.
    /// - `TaskFailed`: the other side failed; [`Error::remote`] says how.
    /// - `Closed`: the other side is gone.
    /// - As [`Channel::send`].
    ///
    /// # Example
    /// ```
    /// use procs::{Channel, ErrorKind, Message};
    /// use std::time::Duration;
    /// let (here, there) = Channel::pair()?;
    /// let server = std::thread::spawn(move || {
    ///     there.serve(|request| match &*request.message().body {
    ///         b"ping" => drop(request.reply(Message::raw("pong"))),
    ///         _ => request.fail("no such method"),
    ///     })
    /// });
    /// let second = Some(Duration::from_secs(10));
    /// assert_eq!(here.call(Message::raw("ping"), second)?.body, *b"pong");
    /// let error = here.call(Message::raw("?"), second).unwrap_err();
    /// assert_eq!((error.kind(), error.detail()), (ErrorKind::TaskFailed, "no such method"));
    /// drop(here);
    /// server.join().expect("the server")?;
    /// # Ok::<(), procs::Error>(())
    /// ```
    pub fn call(&self, message: Message, timeout: Option<Duration>) -> Result<Message> {
        self.native("channel.call")?.call(&message, Some(Deadline::from_timeout(timeout)))
    }

    /// Calls the other side for any number of replies. The other side may be sixteen replies ahead of the caller, no more.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn call_stream(&self, message: Message) -> Result<CallStream> {
        let native = Arc::clone(self.native("channel.call")?);
        let id = native.start_call(&message, true, Some(Deadline::NEVER))?;
        Ok(CallStream { watch: None, native, id, ended: false })
    }

    /// The next call of the other side; waits at most this long. `None` when the time is over.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub fn next_request(&self, timeout: Option<Duration>) -> Result<Option<Request>> {
        self.request_until(Some(Deadline::from_timeout(timeout)))
    }

    /// As [`Channel::next_request`], but does not wait.
    ///
    /// # Errors
    /// As there.
    pub fn try_next_request(&self) -> Result<Option<Request>> {
        self.request_until(None)
    }

    fn request_until(&self, wait: Option<Deadline>) -> Result<Option<Request>> {
        let native = self.native("channel.serve")?;
        match native.next_request(wait) {
            Ok(asked) => Ok(Some(Request::new(Arc::clone(native), asked))),
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::WouldBlock) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives every call of the other side to `handler`, until the channel has ended. Several threads may serve at once.
    ///
    /// # Errors
    /// As [`Channel::recv`], except for the end of the channel, which is no error here.
    pub fn serve(&self, mut handler: impl FnMut(Request)) -> Result<()> {
        loop {
            match self.next_request(None) {
                Ok(Some(request)) => handler(request),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The replies to a call, one after the other. See [`Channel::call_stream`].
///
/// # Drop
/// Tells the other side that no more is wanted.
pub struct CallStream {
    // First, so that the watch goes before what it watches.
    pub(super) watch: Option<Watch>,
    pub(super) native: Arc<Native>,
    pub(super) id: u64,
    pub(super) ended: bool,
}

impl fmt::Debug for CallStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream").field("id", &self.id).field("ended", &self.ended).finish()
    }
}

impl CallStream {
    /// The next reply; waits at most this long. `None` when there are no more.
    ///
    /// # Errors
    /// As [`Channel::call`]; after `Timeout` the stream goes on.
    pub fn next_timeout(&mut self, timeout: Option<Duration>) -> Result<Option<Message>> {
        if self.ended {
            return Ok(None);
        }
        let reply = self.native.next_reply(self.id, Some(Deadline::from_timeout(timeout)));
        self.ended = match &reply {
            Ok(message) => message.is_none(),
            Err(error) => error.kind() != ErrorKind::Timeout,
        };
        reply
    }
}

impl Iterator for CallStream {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        self.next_timeout(None).transpose()
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        self.watch = None;
        self.native.forget_call(self.id);
    }
}

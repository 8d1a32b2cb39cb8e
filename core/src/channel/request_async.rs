//! Calls for those who must not block: the same verbs, each of which says when to try again.

use super::channel::Channel;
use super::message::Message;
use super::native::no_reply;
use super::request::{CallStream, Request, said};
use super::unsent::SendError;
use crate::error::Result;
use crate::io::reactor::Watch;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

impl Channel {
    /// As [`Channel::call`] without blocking; needs no runtime. Dropping the future cancels the call.
    pub fn call_async(&self, message: Message) -> CallFuture<'_> {
        CallFuture { state: Calling::Leaving(self.begin_call_async(message)) }
    }

    /// As [`call_stream`](Channel::call_stream) without blocking: resolves once the call has left, in the order of what was sent before. The
    /// parts are waited for with [`CallStream::poll_next`].
    pub fn call_stream_async(&self, message: Message) -> BeginCallFuture<'_> {
        BeginCallFuture { watch: None, channel: self, message: Some(message), id: None, stream: true }
    }

    /// The first half of [`call_async`](Channel::call_async): resolves once the call has left, so that what is sent afterwards comes after it.
    /// The stream then has the one reply.
    pub fn begin_call_async(&self, message: Message) -> BeginCallFuture<'_> {
        BeginCallFuture { watch: None, channel: self, message: Some(message), id: None, stream: false }
    }
}

impl CallStream {
    /// The next reply, `None` when there are no more; or the waker is woken when it is worth another try. Any runtime will do:
    /// `poll_fn(|context| stream.poll_next(context)).await`.
    ///
    /// # Errors
    /// As [`Channel::call`], except for `Timeout`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let reply = self.native.poll_reply(self.id, cx, &mut self.watch);
        if let Poll::Ready(reply) = &reply {
            self.ended = !matches!(reply, Ok(Some(_)));
        }
        reply
    }
}

impl Request {
    /// As [`reply`](Request::reply) without blocking: takes the message once it has left, else the waker is woken when it is worth another try.
    /// A message that was taken before is an answer that was given.
    ///
    /// # Errors
    /// As [`reply`](Request::reply).
    pub fn poll_reply(&mut self, message: &mut Option<Message>, cx: &mut Context<'_>) -> Poll<std::result::Result<(), SendError>> {
        let Some(sent) = message.as_ref() else { return Poll::Ready(Ok(())) };
        let sent = self.native.poll_last(self.id, sent, cx, &mut self.watch);
        self.answered |= matches!(sent, Poll::Ready(Ok(true)));
        sent.map(|sent| said(sent, message.take().unwrap_or_default()))
    }

    /// As [`reply_part`](Request::reply_part) without blocking; see [`poll_reply`](Request::poll_reply).
    ///
    /// # Errors
    /// As [`reply_part`](Request::reply_part).
    pub fn poll_reply_part(&mut self, message: &mut Option<Message>, cx: &mut Context<'_>) -> Poll<std::result::Result<(), SendError>> {
        let Some(sent) = message.as_ref() else { return Poll::Ready(Ok(())) };
        let sent = self.native.poll_part(self.id, sent, cx, &mut self.watch);
        sent.map(|sent| said(sent, message.take().unwrap_or_default()))
    }
}

/// Resolves once a call has left. See [`Channel::call_stream_async`] and [`Channel::begin_call_async`].
///
/// # Drop
/// Nothing is called.
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct BeginCallFuture<'a> {
    // First, so that the watch goes before what it watches.
    watch: Option<Watch>,
    channel: &'a Channel,
    message: Option<Message>,
    id: Option<u64>,
    stream: bool,
}

impl Future for BeginCallFuture<'_> {
    type Output = Result<CallStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let native = this.channel.native("channel.call")?;
        let Some(message) = &this.message else { return Poll::Pending };
        let id = *this.id.get_or_insert_with(|| native.open_call(this.stream));
        let sent = native.poll_call((id, this.stream), message, cx, &mut this.watch);
        let Poll::Ready(sent) = sent else { return Poll::Pending };
        // What failed is dropped with this.
        sent?;
        (this.id, this.message) = (None, None);
        Poll::Ready(Ok(CallStream { watch: None, native: Arc::clone(native), id, ended: false }))
    }
}

impl Drop for BeginCallFuture<'_> {
    fn drop(&mut self) {
        self.watch = None;
        if let (Some(id), Ok(native)) = (self.id, self.channel.native("channel.call")) {
            native.drop_call(id);
        }
    }
}

/// Resolves to the reply. See [`Channel::call_async`].
///
/// # Drop
/// Cancels the call.
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct CallFuture<'a> {
    state: Calling<'a>,
}

#[derive(Debug)]
enum Calling<'a> {
    Leaving(BeginCallFuture<'a>),
    Asked(CallStream),
}

impl Future for CallFuture<'_> {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Calling::Leaving(leaving) = &mut self.state {
            match Pin::new(leaving).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(stream) => self.state = Calling::Asked(stream?),
            }
        }
        match &mut self.state {
            Calling::Asked(stream) => stream.poll_next(cx).map(|reply| reply.and_then(|reply| reply.ok_or_else(no_reply))),
            Calling::Leaving(_) => Poll::Pending,
        }
    }
}

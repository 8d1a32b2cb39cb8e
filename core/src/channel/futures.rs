//! Sending and receiving as futures, over any wire.

use super::channel::Channel;
use super::message::Message;
use super::unsent::SendError;
use crate::error::Result;
use crate::io::reactor::Watch;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Resolves when the message was sent. See [`Channel::send_async`].
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct SendFuture<'a> {
    // First, so that the watch goes before what it watches.
    pub(super) watch: Option<Watch>,
    pub(super) message: Option<Message>,
    pub(super) channel: &'a Channel,
}

impl Future for SendFuture<'_> {
    type Output = std::result::Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.channel.link() {
            Ok(link) => link.poll_send(&mut this.message, cx, &mut this.watch),
            Err(error) => Poll::Ready(Err(SendError::new(error, this.message.take().unwrap_or_default()))),
        }
    }
}

/// Resolves to the next message. See [`Channel::recv_async`].
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct RecvFuture<'a> {
    // First, so that the watch goes before what it watches.
    pub(super) watch: Option<Watch>,
    pub(super) channel: &'a Channel,
}

impl Future for RecvFuture<'_> {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.channel.link()?.poll_recv(cx, &mut this.watch)
    }
}

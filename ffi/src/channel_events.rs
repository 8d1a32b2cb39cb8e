//! What happens on channels, one after the other and for event loops.

use crate::channel::{self, procs_channel};
use crate::child::not_yet;
use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::message::{MessageObject, procs_message};
use crate::ptr::{Out, OutStruct, Sized8, array};
use crate::request::{RequestObject, procs_request};
use crate::status::procs_status;
use procs::{Channel, Error, ErrorKind, Event, Result};
use std::ffi::c_int;
use std::os::fd::AsRawFd;

/// What happened on a channel: the values of `procs_channel_event.kind`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_channel_event_kind {
    /// A message came: `message`.
    PROCS_CHANNEL_MESSAGE = 1,
    /// The other side called: `request`.
    PROCS_CHANNEL_REQUEST = 2,
    /// Every message was given and no more comes.
    PROCS_CHANNEL_CLOSED = 3,
    /// The child has ended; always last. `procs_child_wait` gives its status at once.
    PROCS_CHANNEL_EXITED = 4,
}

/// One event of a channel. Set `size` to `sizeof(procs_channel_event)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_channel_event {
    /// `sizeof(procs_channel_event)`, set by the caller.
    pub size: usize,
    /// One of `procs_channel_event_kind`.
    pub kind: c_int,
    /// 0.
    pub reserved: c_int,
    /// Owned: free it with `procs_message_free`. NULL unless a message came.
    pub message: *mut procs_message,
    /// Owned: free it with `procs_request_free`. NULL unless the other side called.
    pub request: *mut procs_request,
}

// SAFETY: integers and pointers; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_channel_event {
    const NAME: &'static str = "procs_channel_event";
}

/// What happens next: each message and each call of the other side in its order, then once PROCS_CHANNEL_CLOSED, then, on the channel of a child,
/// once PROCS_CHANNEL_EXITED. Waits at most `timeout_ms`.
///
/// Errors: as `procs_channel_recv`; PROCS_E_CLOSED when all of this was given before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_next_event(channel: *const procs_channel, timeout_ms: i64, event: *mut procs_channel_event) -> procs_status {
    use procs_channel_event_kind::*;
    let operation = "procs_channel_next_event";
    guard(operation, || {
        let object = channel::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = OutStruct::new(operation, event)?;
        let next = object.channel().next_event(limit)?.ok_or_else(|| not_yet(operation, "nothing happened", limit))?;
        let mut event = procs_channel_event { size: 0, kind: 0, reserved: 0, message: std::ptr::null_mut(), request: std::ptr::null_mut() };
        event.kind = match next {
            Event::Message(message) => {
                event.message = MessageObject::handle(message)?;
                PROCS_CHANNEL_MESSAGE as c_int
            }
            Event::Request(request) => {
                event.request = RequestObject::handle(request)?;
                PROCS_CHANNEL_REQUEST as c_int
            }
            Event::Closed => PROCS_CHANNEL_CLOSED as c_int,
            Event::Exited(_) => PROCS_CHANNEL_EXITED as c_int,
            _ => return Err(Error::new(ErrorKind::Unsupported, operation, "an event that this version of the C interface does not know")),
        };
        out.set(event);
        Ok(())
    })
}

/// A descriptor to poll: readable while a message can be received or the end is to be seen. Then receive with a timeout of 0 until
/// PROCS_E_WOULD_BLOCK. Borrowed: never read from it or close it. -1 when the channel is closed by this side.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_fd(channel: *const procs_channel) -> c_int {
    let operation = "procs_channel_fd";
    if channel.is_null() {
        return -1;
    }
    guard_value(operation, -1, || Ok(channel::channel(operation, channel)?.channel().as_fd()?.as_raw_fd()))
}

/// Waits until one of the channels has a message or has ended, and gives its index.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_wait_any(
    channels: *const *const procs_channel,
    count: usize,
    timeout_ms: i64,
    index: *mut usize,
) -> procs_status {
    let operation = "procs_channel_wait_any";
    guard(operation, || {
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "index", index)?;
        let handles = array(operation, "channels", channels, count)?;
        let objects: Vec<_> = handles.iter().map(|&handle| channel::channel(operation, handle)).collect::<Result<_>>()?;
        let channels: Vec<&Channel> = objects.iter().map(|object| object.channel()).collect();
        if channels.is_empty() {
            return Err(crate::status::invalid(operation, "no channels (count = 0)"));
        }
        out.set(Channel::wait_any(&channels, limit)?.ok_or_else(|| not_yet(operation, "no channel has anything", limit))?);
        Ok(())
    })
}

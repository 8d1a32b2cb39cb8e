//! Channels: messages to and from another process or thread; `channel_events` says what happens on them.

use crate::capture::exclusive;
use crate::channel_options::{self, procs_channel_options};
use crate::child::{child, not_yet, procs_child};
use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::memory_arena::{BlockObject, procs_shm_block};
use crate::message::{MessageObject, message, procs_message};
use crate::ptr::{self, Operation, Out, array, array_mut};
use crate::slab::{self, Object, Ref, lock};
use crate::status::procs_status;
use procs::{Channel, Deadline, Error, ErrorKind, Message, Received, ReceivedSlice, Result, SendError};
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;
use std::time::Duration;

/// One end of a channel: messages to and from another process, or another thread of this one, in order and whole.
pub struct procs_channel {
    _opaque: [u8; 0],
}

pub(crate) struct ChannelObject(Channel);

impl Object for ChannelObject {
    type Handle = procs_channel;
    const TAG: usize = 41;
    const NOUN: &'static str = "channel";
}

#[inline(always)]
pub(crate) fn channel(operation: Operation, handle: *const procs_channel) -> Result<Ref<ChannelObject>> {
    slab::get::<ChannelObject>(operation, handle)
}

impl ChannelObject {
    pub(crate) fn channel(&self) -> &Channel {
        &self.0
    }
}

/// Makes both ends of a channel; `options` may be NULL. Owned: free each with `procs_channel_free`. Use them in different threads, or hand one to
/// another process with `procs_channel_take_fd`.
///
/// Errors: PROCS_E_EXHAUSTED when the system has no descriptor or memory left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_pair(
    options: *const procs_channel_options,
    first: *mut *mut procs_channel,
    second: *mut *mut procs_channel,
) -> procs_status {
    let operation = "procs_channel_pair";
    guard(operation, || {
        let (out_first, out_second) = (Out::new(operation, "first", first)?, Out::new(operation, "second", second)?);
        let options = channel_options::read(operation, options)?;
        let (a, b) = Channel::pair_with(&options)?;
        let a = slab::insert(ChannelObject(a))?;
        match slab::insert(ChannelObject(b)) {
            Ok(b) => {
                out_first.set(a);
                out_second.set(b);
                Ok(())
            }
            Err(error) => {
                slab::remove::<ChannelObject>(operation, a)?;
                Err(error)
            }
        }
    })
}

/// The channel to the parent that started this process with one; `options` may be NULL. Once in a process. Owned: free it with
/// `procs_channel_free`.
///
/// Errors: PROCS_E_NOT_FOUND when this process was not given a channel; PROCS_E_INVALID_STATE when it was taken before; PROCS_E_PROTOCOL for a
/// parent of another version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_from_env(options: *const procs_channel_options, channel: *mut *mut procs_channel) -> procs_status {
    let operation = "procs_channel_from_env";
    guard(operation, || {
        let out = Out::new(operation, "channel", channel)?;
        let options = channel_options::read(operation, options)?;
        out.set(slab::insert(ChannelObject(Channel::from_env_with(&options)?))?);
        Ok(())
    })
}

/// The end whose descriptor `procs_channel_take_fd` gave in this or another process; `options` may be NULL. The library takes a duplicate: `fd`
/// stays yours, and the channel ends for the other side when both are closed. Owned: free it with `procs_channel_free`.
///
/// Errors: the first use tells when the descriptor is no end of a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_from_fd(fd: c_int, options: *const procs_channel_options, channel: *mut *mut procs_channel) -> procs_status {
    let operation = "procs_channel_from_fd";
    guard(operation, || {
        let out = Out::new(operation, "channel", channel)?;
        let options = channel_options::read(operation, options)?;
        let copy = ptr::duplicate_fd(operation, fd)?;
        out.set(slab::insert(ChannelObject(Channel::from_fd_with(copy, &options)?))?);
        Ok(())
    })
}

/// The channel to a child that was started with `channel` in its options. Once. Owned: free it with `procs_channel_free`; the child may be freed
/// before.
///
/// Errors: PROCS_E_INVALID_STATE when the child was started without, or the channel was taken before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_channel(child: *const procs_child, channel: *mut *mut procs_channel) -> procs_status {
    let operation = "procs_child_channel";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = Out::new(operation, "channel", channel)?;
        let missing = || Error::new(ErrorKind::InvalidState, operation, "the child was started without a channel, or it was taken before");
        let taken = lock(&object.channel).take().ok_or_else(missing)?;
        out.set(slab::insert(ChannelObject(*taken))?);
        Ok(())
    })
}

/// The descriptor of an end that nobody has used, for another process: all that the process needs. Owned: close it yourself. The handle is then
/// good for `procs_channel_free` only.
///
/// Errors: PROCS_E_INVALID_STATE when the end was used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_take_fd(channel: *const procs_channel, fd: *mut c_int) -> procs_status {
    let operation = "procs_channel_take_fd";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let out = Out::new(operation, "fd", fd)?;
        out.set(object.0.take_fd()?.into_raw_fd());
        Ok(())
    })
}

/// When a wait is over: `None` is at once.
#[inline]
pub(crate) fn until(limit: Option<Duration>) -> Option<Deadline> {
    match limit {
        Some(Duration::ZERO) => None,
        limit => Some(Deadline::from_timeout(limit)),
    }
}

/// Sends what is in the message object; it is emptied when that went well, and as it was when not.
pub(crate) fn send_object(
    operation: Operation,
    object: &MessageObject,
    send: impl FnOnce(Message) -> std::result::Result<(), SendError>,
) -> Result<()> {
    let mut message = exclusive(operation, &object.0)?;
    send(std::mem::take(&mut *message)).map_err(|failed| {
        let (error, back) = failed.into_parts();
        *message = back;
        error
    })
}

/// Sends a message; waits at most `timeout_ms` while the other side does not read. On success the message is empty: free it. On failure it is as
/// it was.
///
/// Errors: PROCS_E_CLOSED when the other side is gone; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when there was no room;
/// PROCS_E_TOO_LARGE when the other side does not take messages of this size; PROCS_E_INVALID_ARGUMENT when a descriptor is not what the message
/// says; PROCS_E_INVALID_STATE when this side has closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_send(channel: *const procs_channel, message: *mut procs_message, timeout_ms: i64) -> procs_status {
    let operation = "procs_channel_send";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = until(timeout(operation, "timeout_ms", timeout_ms)?);
        send_object(operation, &*self::message(operation, message)?, |message| match limit {
            Some(deadline) => object.0.send_deadline(message, deadline),
            None => object.0.try_send(message),
        })
    })
}

/// Sends bytes as a raw message, without a message handle. Errors: as `procs_channel_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_send_bytes(channel: *const procs_channel, data: *const c_void, len: usize, timeout_ms: i64) -> procs_status {
    let operation = "procs_channel_send_bytes";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = until(timeout(operation, "timeout_ms", timeout_ms)?);
        object.0.send_bytes_until(array(operation, "data", data.cast::<u8>(), len)?, limit)
    })
}

/// A block of the memory that is shared with the other side, to build a large message in place: fill `procs_shm_block_data`, then
/// `procs_message_from_block` or `procs_message_add_block`. What was received lies in place as well: `procs_message_body`. Owned: free it with
/// `procs_shm_block_free`.
///
/// Errors: PROCS_E_EXHAUSTED when the other side has not given back enough of `max_queued_bytes`; PROCS_E_UNSUPPORTED for a channel without shared
/// memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_alloc(channel: *const procs_channel, len: usize, block: *mut *mut procs_shm_block) -> procs_status {
    let operation = "procs_channel_alloc";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let out = Out::new(operation, "block", block)?;
        out.set(slab::insert(BlockObject(object.0.alloc(len)?))?);
        Ok(())
    })
}

fn receive(channel: &Channel, limit: Option<Duration>) -> Result<Message> {
    match until(limit) {
        Some(deadline) => channel.recv_deadline(deadline),
        None => channel.try_recv(),
    }
}

/// The next message; waits for it at most `timeout_ms`. Owned: free it with `procs_message_free`.
///
/// Errors: PROCS_E_CLOSED when everything was received and the other side has closed or is gone; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a
/// timeout of 0; PROCS_E_PROTOCOL and PROCS_E_TOO_LARGE when what came is no message of this wire or over the limits: the channel has ended then;
/// PROCS_E_INVALID_STATE when this side has closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_recv(channel: *const procs_channel, timeout_ms: i64, message: *mut *mut procs_message) -> procs_status {
    let operation = "procs_channel_recv";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "message", message)?;
        out.set(MessageObject::handle(receive(&object.0, limit)?)?);
        Ok(())
    })
}

/// As `procs_channel_recv`, into a message that is there: what it held is freed. Saves a handle for each message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_recv_into(channel: *const procs_channel, timeout_ms: i64, message: *mut procs_message) -> procs_status {
    let operation = "procs_channel_recv_into";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let place = self::message(operation, message)?;
        let mut place = exclusive(operation, &place.0)?;
        // A body on the heap is a place for the next one.
        let mut body = if place.body.is_shared() { Vec::new() } else { std::mem::take(&mut place.body).into_vec() };
        match object.0.recv_plain(&mut body, until(limit)) {
            Ok(Received::Plain(codec)) => *place = Message::encoded(codec, body),
            Ok(Received::Whole(message)) => *place = message,
            Err(error) => {
                if !place.body.is_shared() {
                    place.body = body.into();
                }
                return Err(error);
            }
        }
        Ok(())
    })
}

/// The next message, without a message handle: a body alone of at most `capacity` bytes is copied to `buffer`, and `*message` is NULL. Any other
/// message, one that is larger or has buffers or descriptors, is given as `*message`, owned: free it with `procs_message_free`; `buffer` is then
/// as it was. `*len` is the length of the body either way. Waits at most `timeout_ms`. The codec of a body alone is what the two sides agreed on.
///
/// Errors: as `procs_channel_recv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_recv_bytes(
    channel: *const procs_channel,
    timeout_ms: i64,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
    message: *mut *mut procs_message,
) -> procs_status {
    let operation = "procs_channel_recv_bytes";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let room = array_mut(operation, "buffer", buffer.cast::<u8>(), capacity)?;
        let (out_len, out) = (Out::new(operation, "len", len)?, Out::new(operation, "message", message)?);
        match object.0.recv_slice(room, until(limit))? {
            ReceivedSlice::Plain(_, len) => {
                out_len.set(len);
                out.set(std::ptr::null_mut());
            }
            ReceivedSlice::Whole(message) => {
                let len = message.body.len();
                out.set(MessageObject::handle(message)?);
                out_len.set(len);
            }
        }
        Ok(())
    })
}

/// Waits until everything sent has left this process, so that its end cannot lose it.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_CLOSED when the other side is gone before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_flush(channel: *const procs_channel, timeout_ms: i64) -> procs_status {
    let operation = "procs_channel_flush";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        if object.0.flush(limit)? { Ok(()) } else { Err(not_yet(operation, "the other side has not made room", limit)) }
    })
}

/// Closes this end: the other side receives what was sent, then PROCS_E_CLOSED. Never waits. The handle stays, to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_close(channel: *const procs_channel) -> procs_status {
    let operation = "procs_channel_close";
    guard(operation, || {
        self::channel(operation, channel)?.0.close();
        Ok(())
    })
}

/// 1 when either side has closed or is gone; messages may still be there to be received.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_is_closed(channel: *const procs_channel) -> c_int {
    let operation = "procs_channel_is_closed";
    if channel.is_null() {
        return 0;
    }
    guard_value(operation, 0, || Ok(self::channel(operation, channel)?.0.is_closed().into()))
}

/// Closes the channel and frees it. NULL is fine. A call that another thread is inside ends with PROCS_E_INVALID_STATE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_free(channel: *mut procs_channel) -> procs_status {
    let operation = "procs_channel_free";
    guard(operation, || {
        if let Some(object) = slab::remove::<ChannelObject>(operation, channel)? {
            object.0.close();
        }
        Ok(())
    })
}

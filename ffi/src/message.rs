//! Messages of channels: a body in a codec, buffers and descriptors beside it.

use crate::capture::exclusive;
use crate::choices::find;
use crate::guard::{guard, guard_value};
use crate::memory_arena::{self, procs_shm_block};
use crate::ptr::{Operation, Out, array, duplicate_fd};
use crate::slab::{self, Object, Ref, lock};
use crate::status::{invalid, procs_status};
use procs::{Codec, Error, ErrorKind, HandleKind, Message, Result};
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Mutex;

/// A message that is being built, or that was received.
pub struct procs_message {
    _opaque: [u8; 0],
}

/// How the body of a message is encoded. The library passes the bytes on; encoding and decoding are the program's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_codec {
    /// Bytes as they are.
    PROCS_CODEC_RAW = 0,
    /// JSON text in UTF-8.
    PROCS_CODEC_JSON = 1,
    /// Python's pickle: runs code of the sender when decoded.
    PROCS_CODEC_PICKLE = 2,
    /// The structured clone of V8 (Node).
    PROCS_CODEC_V8 = 3,
}

/// What the descriptors of a message are, checked on both sides.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_handle_kind {
    /// Anything, unchecked.
    PROCS_HANDLE_RAW = 0,
    /// A TCP socket that does not accept connections.
    PROCS_HANDLE_TCP_SOCKET = 1,
    /// A TCP socket that accepts connections.
    PROCS_HANDLE_TCP_LISTENER = 2,
    /// A Unix stream socket that does not accept connections.
    PROCS_HANDLE_UNIX_SOCKET = 3,
    /// A Unix stream socket that accepts connections.
    PROCS_HANDLE_UNIX_LISTENER = 4,
    /// A UDP socket.
    PROCS_HANDLE_UDP_SOCKET = 5,
    /// A regular file.
    PROCS_HANDLE_FILE = 6,
    /// Memory that cannot change its size: a memfd sealed against shrinking and growing.
    PROCS_HANDLE_MEMORY = 7,
}

pub(crate) struct MessageObject(pub(crate) Mutex<Message>);

impl Object for MessageObject {
    type Handle = procs_message;
    const TAG: usize = 40;
    const NOUN: &'static str = "message";
}

impl MessageObject {
    pub(crate) fn handle(message: Message) -> Result<*mut procs_message> {
        slab::insert(MessageObject(Mutex::new(message)))
    }
}

#[inline]
pub(crate) fn message(operation: Operation, handle: *const procs_message) -> Result<Ref<MessageObject>> {
    slab::get::<MessageObject>(operation, handle)
}

fn no_such(operation: Operation, what: &str, index: usize, count: usize) -> Error {
    invalid(operation, format!("no such {what} (index = {index}, expected less than {count})"))
}

/// Makes a message with this body, copied; `data` may be NULL when `len` is 0. `codec` is one of `procs_codec`. Owned: free it with
/// `procs_message_free`. Call next: `procs_channel_send`, or one of the `procs_message_add_` functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_new(codec: c_int, data: *const c_void, len: usize, message: *mut *mut procs_message) -> procs_status {
    let operation = "procs_message_new";
    guard(operation, || {
        let out = Out::new(operation, "message", message)?;
        let codec = find(operation, "codec", codec, Codec::ALL)?;
        let body = array(operation, "data", data.cast::<u8>(), len)?;
        out.set(MessageObject::handle(Message::encoded(codec, body))?);
        Ok(())
    })
}

/// Adds a buffer that travels beside the body, copied. At most 4096.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_add_buffer(message: *mut procs_message, data: *const c_void, len: usize) -> procs_status {
    let operation = "procs_message_add_buffer";
    guard(operation, || {
        let object = self::message(operation, message)?;
        let bytes = array(operation, "data", data.cast::<u8>(), len)?;
        exclusive(operation, &object.0)?.buffers.push(bytes.into());
        Ok(())
    })
}

/// Makes a message whose body is the first `len` bytes of the block. Sent on the channel whose `procs_channel_alloc` gave the block they are not
/// copied, whatever their number; sent elsewhere they are. The block stays yours: free it when you like, and write to it no more. Owned: free the
/// message with `procs_message_free`.
///
/// Errors: PROCS_E_INVALID_ARGUMENT when the block has fewer bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_from_block(
    codec: c_int,
    block: *const procs_shm_block,
    len: usize,
    message: *mut *mut procs_message,
) -> procs_status {
    let operation = "procs_message_from_block";
    guard(operation, || {
        let out = Out::new(operation, "message", message)?;
        let codec = find(operation, "codec", codec, Codec::ALL)?;
        let body = memory_arena::block(operation, block)?.0.share(len)?;
        out.set(MessageObject::handle(Message::encoded(codec, body))?);
        Ok(())
    })
}

/// As `procs_message_add_buffer` for the first `len` bytes of a block, which are not copied: see `procs_message_from_block`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_add_block(message: *mut procs_message, block: *const procs_shm_block, len: usize) -> procs_status {
    let operation = "procs_message_add_block";
    guard(operation, || {
        let object = self::message(operation, message)?;
        let shared = memory_arena::block(operation, block)?.0.share(len)?;
        exclusive(operation, &object.0)?.buffers.push(shared.into());
        Ok(())
    })
}

/// Adds a descriptor, of which the library takes a duplicate: `fd` stays yours.
///
/// Errors: PROCS_E_IO with EBADF when `fd` is not open; PROCS_E_EXHAUSTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_add_fd(message: *mut procs_message, fd: c_int) -> procs_status {
    let operation = "procs_message_add_fd";
    guard(operation, || {
        let object = self::message(operation, message)?;
        let copy = duplicate_fd(operation, fd)?;
        exclusive(operation, &object.0)?.fds.push(copy);
        Ok(())
    })
}

/// Says what all descriptors of the message are: one of `procs_handle_kind`. It is checked when the message is sent and when it is received.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_set_handle_kind(message: *mut procs_message, kind: c_int) -> procs_status {
    let operation = "procs_message_set_handle_kind";
    guard(operation, || {
        let object = self::message(operation, message)?;
        let kind = find(operation, "kind", kind, HandleKind::ALL)?;
        exclusive(operation, &object.0)?.handle = Some(kind);
        Ok(())
    })
}

fn field<T>(operation: Operation, handle: *const procs_message, default: T, read: impl FnOnce(&Message) -> Result<T>) -> T {
    if handle.is_null() {
        return default;
    }
    guard_value(operation, default, || {
        let object = message(operation, handle)?;
        let message = lock(&object.0);
        read(&message)
    })
}

/// The codec of the body, one of `procs_codec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_codec(message: *const procs_message) -> c_int {
    field("procs_message_codec", message, 0, |message| Ok(message.codec as c_int))
}

/// The body; `*len` gets its length, and may be NULL. Borrowed: valid until the message is sent, received into or freed. Not NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_body(message: *const procs_message, len: *mut usize) -> *const c_void {
    let operation = "procs_message_body";
    field(operation, message, std::ptr::null(), |message| {
        crate::ptr::set_optional(operation, "len", len, message.body.len())?;
        Ok(message.body.as_ptr().cast())
    })
}

/// How many buffers travel beside the body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_buffer_count(message: *const procs_message) -> usize {
    field("procs_message_buffer_count", message, 0, |message| Ok(message.buffers.len()))
}

/// A buffer; `*len` gets its length, and may be NULL. NULL when there is no such buffer. Borrowed: as the body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_buffer(message: *const procs_message, index: usize, len: *mut usize) -> *const c_void {
    let operation = "procs_message_buffer";
    field(operation, message, std::ptr::null(), |message| {
        let buffer = message.buffers.get(index).ok_or_else(|| no_such(operation, "buffer", index, message.buffers.len()))?;
        crate::ptr::set_optional(operation, "len", len, buffer.len())?;
        Ok(buffer.as_ptr().cast())
    })
}

/// How many descriptors the message has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_fd_count(message: *const procs_message) -> usize {
    field("procs_message_fd_count", message, 0, |message| Ok(message.fds.len()))
}

/// A descriptor of the message; -1 when there is no such descriptor. Borrowed: closed when the message is sent, received into or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_fd(message: *const procs_message, index: usize) -> c_int {
    let operation = "procs_message_fd";
    field(operation, message, -1, |message| {
        message.fds.get(index).map(AsRawFd::as_raw_fd).ok_or_else(|| no_such(operation, "descriptor", index, message.fds.len()))
    })
}

/// What the descriptors were said to be, and are: one of `procs_handle_kind`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_handle_kind(message: *const procs_message) -> c_int {
    field("procs_message_handle_kind", message, 0, |message| Ok(message.handle.unwrap_or(HandleKind::Raw) as c_int))
}

/// Takes the first descriptor out of the message. Owned: close it yourself. It is close-on-exec. Call again for the next one.
///
/// Errors: PROCS_E_INVALID_STATE when the message has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_take_fd(message: *mut procs_message, fd: *mut c_int) -> procs_status {
    let operation = "procs_message_take_fd";
    guard(operation, || {
        let object = self::message(operation, message)?;
        let out = Out::new(operation, "fd", fd)?;
        let mut message = exclusive(operation, &object.0)?;
        if message.fds.is_empty() {
            return Err(Error::new(ErrorKind::InvalidState, operation, "the message has no descriptor left"));
        }
        out.set(message.fds.remove(0).into_raw_fd());
        Ok(())
    })
}

/// Frees a message and closes its descriptors. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_message_free(message: *mut procs_message) -> procs_status {
    let operation = "procs_message_free";
    guard(operation, || slab::remove::<MessageObject>(operation, message).map(drop))
}

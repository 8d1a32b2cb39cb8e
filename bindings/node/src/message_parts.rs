//! Messages between JavaScript and the core: four values each, in flat arrays, because objects cost several times as much.

use crate::memory::to_message_buffer;
use crate::text::{bytes_of, narrow_text, text_of};
use napi::bindgen_prelude::{Array, Buffer, Either, Null, Uint8Array};
use napi::{Env, JsString};
use procs::{Channel, Codec, Error, ErrorKind, Message, Result};
use std::os::fd::IntoRawFd;

/// Values of one message: number of the codec, body (text for JSON), buffers, descriptors.
pub(crate) const VALUES: u32 = 4;

pub(crate) type Body<'env> = Either<JsString<'env>, Uint8Array>;

/// A body, and the environment that it is of.
pub(crate) type Given<'env> = (&'env Env, Body<'env>);

/// The system has no memory left; source: errno.h.
const ENOMEM: i32 = 12;

/// From so many bytes on a body is copied to the memory that it is sent in.
const PLACED_FROM: usize = 64 << 10;

/// Memory for a message of so many bytes.
///
/// # Errors
/// `Exhausted`.
pub(crate) fn room_to_send(size: usize) -> procs::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match bytes.try_reserve_exact(size) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Error::from_os("channel.send", ENOMEM, format!("no memory for a message (size = {size} bytes)"))),
    }
}

/// A copy of bytes that are to be sent.
///
/// # Errors
/// `Exhausted`.
pub(crate) fn copy_to_send(bytes: &[u8]) -> procs::Result<Vec<u8>> {
    let mut copy = room_to_send(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// As [`message_of`], for this channel: a large body is copied once.
pub(crate) fn message_for(
    channel: &Channel,
    codec: u32,
    given: Given<'_>,
    buffers: Option<Vec<Uint8Array>>,
    fds: Option<Vec<i32>>,
) -> Result<Message> {
    if let (_, Either::B(bytes)) = &given
        && bytes.len() > PLACED_FROM
        && let Ok(mut block) = channel.alloc(bytes.len())
    {
        block.write(0, bytes)?;
        return message_with(codec, block.into(), buffers, fds);
    }
    message_of(codec, given, buffers, fds)
}

/// The message that JavaScript gave.
///
/// # Errors
/// `Exhausted` when there is no memory for a copy.
pub(crate) fn message_of(codec: u32, (env, body): Given<'_>, buffers: Option<Vec<Uint8Array>>, fds: Option<Vec<i32>>) -> Result<Message> {
    let bytes = match body {
        Either::A(text) => bytes_of(env, &text)?,
        Either::B(bytes) => copy_to_send(&bytes)?,
    };
    message_with(codec, bytes.into(), buffers, fds)
}

fn message_with(codec: u32, body: procs::Buffer, buffers: Option<Vec<Uint8Array>>, fds: Option<Vec<i32>>) -> Result<Message> {
    let mut message = Message::encoded(codec_of(codec)?, body);
    for buffer in buffers.iter().flatten() {
        message = message.with_buffer(copy_to_send(buffer)?);
    }
    for fd in fds.into_iter().flatten() {
        message = message.with_fd(procs::duplicate_fd(fd)?);
    }
    Ok(message)
}

pub(crate) fn codec_of(number: u32) -> Result<Codec> {
    u8::try_from(number)
        .ok()
        .and_then(Codec::from_number)
        .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "channel", format!("no such codec (codec = {number})")))
}

/// A text as bytes that are a character each, as the other side has said that it takes it (docs/wire.md): the one buffer beside an empty raw body.
pub(crate) fn narrow_message(text: procs::Block) -> Message {
    Message::raw(Vec::new()).with_buffer(text)
}

/// What [`narrow_message`] carries.
fn take_narrow(message: &mut Message) -> Option<procs::Buffer> {
    let is_narrow = message.codec == Codec::Raw && message.body.is_empty() && message.buffers.len() == 1;
    if is_narrow { message.buffers.pop() } else { None }
}

/// Writes the values of a message into an array. With `text` raw bytes are text.
pub(crate) fn put(env: &Env, array: &mut Array<'_>, at: u32, mut message: Message, text: bool) -> napi::Result<()> {
    array.set(at, message.codec as u32)?;
    match text.then(|| take_narrow(&mut message)).flatten() {
        Some(narrow) => array.set(at + 1, narrow_text(env, &narrow)?)?,
        None => array.set(at + 1, body_of(env, message.codec, message.body, text)?)?,
    }
    if message.buffers.is_empty() {
        array.set(at + 2, Null)?;
    } else {
        let buffers = message.buffers.into_iter().map(|buffer| to_message_buffer(env, buffer));
        array.set(at + 2, buffers.collect::<napi::Result<Vec<Buffer>>>()?)?;
    }
    if message.fds.is_empty() {
        array.set(at + 3, Null)?;
    } else {
        array.set(at + 3, message.fds.into_iter().map(IntoRawFd::into_raw_fd).collect::<Vec<i32>>())?;
    }
    Ok(())
}

/// A body: JSON as text, everything else as bytes. Raw bytes as text, too, where they are that.
pub(crate) fn body_of<'env>(env: &'env Env, codec: Codec, body: procs::Buffer, text: bool) -> napi::Result<Either<JsString<'env>, Buffer>> {
    if codec == Codec::Json || (text && codec == Codec::Raw) {
        return text_of(env, &body).map(Either::A);
    }
    to_message_buffer(env, body).map(Either::B)
}

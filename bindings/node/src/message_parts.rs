//! Messages between JavaScript and the core: four values each, in flat arrays, because objects cost several times as much.

use crate::memory::to_message_buffer;
use napi::Env;
use napi::bindgen_prelude::{Array, Buffer, Either, Null, Uint8Array};
use procs::{Codec, Error, ErrorKind, Message, Result};
use std::os::fd::IntoRawFd;

/// Values of one message: number of the codec, body (text for JSON), buffers, descriptors.
pub(crate) const VALUES: u32 = 4;

pub(crate) type Body = Either<String, Uint8Array>;

/// The message that JavaScript gave.
pub(crate) fn message_of(codec: u32, body: Body, buffers: Option<Vec<Uint8Array>>, fds: Option<Vec<i32>>) -> Result<Message> {
    let bytes = match body {
        Either::A(text) => text.into_bytes(),
        Either::B(bytes) => bytes.to_vec(),
    };
    let mut message = Message::encoded(codec_of(codec)?, bytes);
    for buffer in buffers.iter().flatten() {
        message = message.with_buffer(buffer.to_vec());
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

/// Writes the values of a message into an array.
pub(crate) fn put(env: &Env, array: &mut Array<'_>, at: u32, message: Message) -> napi::Result<()> {
    array.set(at, message.codec as u32)?;
    array.set(at + 1, body_of(env, message.codec, message.body)?)?;
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

pub(crate) fn body_of(env: &Env, codec: Codec, body: procs::Buffer) -> napi::Result<Either<String, Buffer>> {
    if codec != Codec::Json {
        return to_message_buffer(env, body).map(Either::B);
    }
    let text = String::from_utf8(body.into_vec()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Either::A(text))
}

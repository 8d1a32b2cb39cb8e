//! Sending by channels of the core as functions that know their hub: messages of a body alone.

use crate::error::{Failure, guard};
use crate::incoming::Channels;
use crate::message_channel::blocked;
use crate::message_parts::{codec_of, narrow_message};
use crate::text::{ascii_of, bytes_of, narrow_of, utf8_of, wide_of};
use napi::bindgen_prelude::{Either, Either3, Null, Object};
use napi::{Env, JsString};
use procs::{Buffer, ErrorKind, Message};
use std::rc::Rc;

/// True for a message that went, false when the other side has to read first.
type Sent = Either<bool, Failure>;

/// What `lib/texts.js` knows of a text: that its characters all fit one byte, that it has no half of a pair.
const NARROW: u32 = 1;
const WHOLE: u32 = 2;

impl Channels {
    /// Text in the codec of this number.
    fn send_text(&self, env: &Env, id: u32, codec: u32, (text, shape): (&JsString<'_>, u32)) -> Sent {
        guard(|| {
            let channel = self.get(id)?;
            let narrow = if shape == NARROW { narrow_of(env, text, &channel).and_then(utf8_of) } else { None };
            let body = narrow.map_or_else(|| bytes_of(env, text).map(Buffer::from), Ok)?;
            let message = Message::encoded(codec_of(codec)?, body);
            Ok(blocked(channel.try_send(message))?.is_ok())
        })
    }

    /// Text as raw bytes, which the other side may take as one byte a character; null when it is not known to be something that comes back as it is.
    fn send_plain(&self, env: &Env, id: u32, (text, shape): (&JsString<'_>, u32), narrow: bool) -> Either3<bool, Failure, Null> {
        let sent = guard(|| {
            let channel = self.get(id)?;
            let message = match shape {
                NARROW if narrow => narrow_of(env, text, &channel).map(narrow_message),
                NARROW => narrow_of(env, text, &channel).and_then(utf8_of).map(Message::raw),
                WHOLE => Some(Message::raw(wide_of(env, text)?)),
                _ => None,
            };
            let message = message.map_or_else(|| ascii_of(env, text).map(|bytes| bytes.map(Message::raw)), |message| Ok(Some(message)))?;
            let Some(message) = message else { return Ok(None) };
            blocked(channel.try_send(message)).map(|sent| Some(sent.is_ok()))
        });
        match sent {
            Either::A(Some(sent)) => Either3::A(sent),
            Either::A(None) => Either3::C(Null),
            Either::B(failure) => Either3::B(failure),
        }
    }

    /// Bytes as they are.
    fn send_bytes(&self, id: u32, body: &[u8]) -> Sent {
        guard(|| match self.get(id)?.send_bytes_until(body, None) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Adds the functions that every message needs.
    pub(crate) fn quick(self: &Rc<Channels>, env: &Env, calls: &mut Object<'_>) -> napi::Result<()> {
        let channels = self.clone();
        let text = env.create_function_from_closure::<(), _, _>("channelSendText", move |call| {
            Ok(channels.send_text(call.env, call.get(0)?, call.get(1)?, (&call.get::<JsString<'_>>(2)?, call.get(3)?)))
        })?;
        calls.set("channelSendText", text)?;
        let channels = self.clone();
        let plain = env.create_function_from_closure::<(), _, _>("channelSendPlain", move |call| {
            Ok(channels.send_plain(call.env, call.get(0)?, (&call.get::<JsString<'_>>(1)?, call.get(2)?), call.get(3)?))
        })?;
        calls.set("channelSendPlain", plain)?;
        let channels = self.clone();
        let bytes = env
            .create_function_from_closure::<(), _, _>("channelSendBytes", move |call| Ok(channels.send_bytes(call.get(0)?, call.get::<&[u8]>(1)?)))?;
        calls.set("channelSendBytes", bytes)
    }
}

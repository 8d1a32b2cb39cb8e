//! Channels of the core for `lib/message-channel.js`: messages come and go in batches, nothing here waits on JavaScript's thread.

use crate::error::{Failure, guard};
use crate::hub::Hub;
use crate::memory::{ascii_of, into_room, text_of};
use crate::message_parts::{Body, VALUES, body_of, codec_of, message_of, put};
use crate::poller::Turn;
use crate::shared::wait::LockWait;
use napi::bindgen_prelude::{Array, Buffer, Either, Either3, Either5, Null, Uint8Array};
use napi::{Env, JsString};
use napi_derive::napi;
use procs::{Channel, ChannelOptions, Codec, CodecSet, Error, ErrorKind, Message, Request, Result, SendError, Spin, Wire};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Messages handed to JavaScript at once.
const BATCH: usize = 64;
/// Bytes after which a batch is ended.
const BATCH_BYTES: usize = 1 << 20;
/// How long one turn of the event loop may go on with one channel.
const TURN: Duration = Duration::from_micros(250);
/// What a batch begins with: nothing more now, more at once, the end.
const NOTHING: u32 = 0;
const MORE: u32 = 1;
const ENDED: u32 = 2;

/// The channels of one environment and the calls it has to answer, by number.
#[derive(Default)]
pub(crate) struct Channels {
    open: RefCell<HashMap<u32, Arc<Channel>>>,
    requests: RefCell<HashMap<u32, Arc<Mutex<Option<Request>>>>>,
    watched: RefCell<HashSet<u32>>,
}

impl Channels {
    pub(crate) fn put(&self, id: u32, channel: Channel) {
        self.open.borrow_mut().insert(id, Arc::new(channel));
    }

    pub(crate) fn get(&self, id: u32) -> Result<Arc<Channel>> {
        let open = self.open.borrow();
        open.get(&id).cloned().ok_or_else(|| Error::new(ErrorKind::InvalidState, "channel", "it was closed"))
    }

    /// After JavaScript has taken what had come: looks for more while the event loop has nothing else to do, and asks to be told of the rest.
    pub(crate) fn settle(&self, id: u32, turn: Turn, tell: impl Fn()) {
        let begun = Instant::now();
        // Whoever has stopped watching begins anew; until then the descriptor stays readable.
        while self.watched.borrow().contains(&id)
            && let Ok(channel) = self.get(id)
        {
            let late = begun.elapsed() >= TURN;
            let more = crate::error::catch(|| if late || !turn.is_idle() { channel.settle_now() } else { channel.settle() });
            if late || !matches!(more, Ok(true)) {
                return;
            }
            tell();
        }
    }

    pub(crate) fn keep_request(&self, number: u32, request: Request) {
        self.requests.borrow_mut().insert(number, Arc::new(Mutex::new(Some(request))));
    }

    pub(crate) fn drop_request(&self, number: u32) -> Option<Arc<Mutex<Option<Request>>>> {
        self.requests.borrow_mut().remove(&number)
    }

    pub(crate) fn request(&self, id: u32) -> Result<Arc<Mutex<Option<Request>>>> {
        let requests = self.requests.borrow();
        requests.get(&id).cloned().ok_or_else(|| Error::new(ErrorKind::InvalidState, "request", "it was answered before"))
    }
}

/// How a channel is made.
#[napi(object)]
#[derive(Default)]
pub struct ChannelSettings {
    /// Its number in this environment.
    pub id: u32,
    /// Codecs taken, one bit each.
    pub codecs: u32,
    /// Bytes of one message; absent for the default, as everything that follows.
    pub max_message: Option<f64>,
    /// Bytes kept while nobody asks for them.
    pub max_queued_bytes: Option<f64>,
    /// Bytes of large messages before a sender waits.
    pub high_water: Option<f64>,
    /// Bytes of the ring of each direction.
    pub ring_bytes: Option<f64>,
    /// Descriptors of one message.
    pub max_fds: Option<u32>,
    /// Milliseconds for the rest of a message.
    pub frame_timeout: Option<f64>,
    /// Milliseconds of looking before sleeping.
    pub spin: Option<f64>,
}

fn milliseconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX)
}

impl ChannelSettings {
    pub(crate) fn options(&self) -> Result<ChannelOptions> {
        let mut options = ChannelOptions { codecs: CodecSet::from_bits(self.codecs), wire: Wire::Native, ..ChannelOptions::default() };
        if let Some(bytes) = self.max_message {
            options.max_message = bytes as u64;
        }
        let sizes = [(&mut options.max_queued_bytes, self.max_queued_bytes), (&mut options.high_water, self.high_water)];
        for (place, bytes) in sizes.into_iter().chain([(&mut options.ring_bytes, self.ring_bytes)]) {
            if let Some(bytes) = bytes {
                *place = bytes as usize;
            }
        }
        if let Some(count) = self.max_fds {
            options.max_fds = u16::try_from(count)
                .map_err(|_| Error::new(ErrorKind::InvalidArgument, "channel", format!("too many descriptors (maxFds = {count})")))?;
        }
        options.frame_timeout = self.frame_timeout.map(milliseconds);
        match self.spin {
            Some(0.0) => options.spin = Spin::Off,
            Some(cap) => options.spin = Spin::Always(milliseconds(cap)),
            None => {}
        }
        Ok(options)
    }
}

pub(crate) fn blocked(sent: std::result::Result<(), SendError>) -> Result<std::result::Result<(), Message>> {
    match sent {
        Ok(()) => Ok(Ok(())),
        Err(failed) if failed.kind() == ErrorKind::WouldBlock => Ok(Err(failed.into_inner())),
        Err(failed) => Err(failed.into()),
    }
}

/// Nothing, one body, a batch, a failure, or how many bytes lie in the room that was given.
type Received<'env> = Either5<Null, Either<JsString<'env>, Buffer>, Array<'env>, Failure, u32>;

#[napi]
impl Hub {
    /// Makes both ends under these numbers.
    #[napi]
    pub fn channel_pair(&self, settings: ChannelSettings, other: u32) -> Either<bool, Failure> {
        guard(|| {
            let (here, there) = Channel::pair_with(&settings.options()?)?;
            self.channels.put(settings.id, here);
            self.channels.put(other, there);
            Ok(true)
        })
    }

    /// Takes the channel to the parent.
    #[napi]
    pub fn channel_from_parent(&self, settings: ChannelSettings) -> Either<bool, Failure> {
        guard(|| {
            self.channels.put(settings.id, Channel::from_env_with(&settings.options()?)?);
            Ok(true)
        })
    }

    /// Takes the end behind a descriptor of `channelDetach`, which is the channel's from then on.
    #[napi]
    pub fn channel_from_fd(&self, settings: ChannelSettings, fd: i32) -> Either<bool, Failure> {
        guard(|| {
            self.channels.put(settings.id, Channel::from_fd_with(procs::duplicate_fd(fd)?, &settings.options()?)?);
            Ok(true)
        })
    }

    /// Gives an unused end up as a descriptor.
    #[napi]
    pub fn channel_detach(&self, id: u32) -> Either<i32, Failure> {
        guard(|| {
            let fd = self.channels.get(id)?.take_fd()?;
            self.channels.open.borrow_mut().remove(&id);
            Ok(fd.into_raw_fd())
        })
    }

    /// Begins to tell when something can be received, or ends that.
    #[napi]
    pub fn channel_watch(&self, env: Env, id: u32, on: bool) -> Either<bool, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            let fd = channel.as_fd()?;
            if on {
                self.waiter.watch(&env, id, fd, Box::new(channel.clone()))?;
                self.channels.watched.borrow_mut().insert(id);
            } else {
                self.channels.watched.borrow_mut().remove(&id);
                self.waiter.unwatch(id, fd);
            }
            Ok(true)
        })
    }

    /// Sends a message; false when the other side has to read first.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object costs JavaScript and this module ten times as much as an argument")]
    pub fn channel_send(&self, id: u32, codec: u32, body: Body, buffers: Option<Vec<Uint8Array>>, fds: Option<Vec<i32>>) -> Either<bool, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            Ok(blocked(channel.try_send(message_of(codec, body, buffers, fds)?))?.is_ok())
        })
    }

    /// As `channelSend` for text and nothing beside it; types that the call need not guess are half of its cost.
    #[napi]
    pub fn channel_send_text(&self, id: u32, codec: u32, body: String) -> Either<bool, Failure> {
        guard(|| {
            let message = Message::encoded(codec_of(codec)?, body.into_bytes());
            Ok(blocked(self.channels.get(id)?.try_send(message))?.is_ok())
        })
    }

    /// As `channelSend` for a text as raw bytes; null when it is not ASCII.
    #[napi]
    pub fn channel_send_ascii(&self, env: Env, id: u32, text: JsString<'_>) -> Either3<bool, Failure, Null> {
        let sent = guard(|| {
            let channel = self.channels.get(id)?;
            let Some(body) = ascii_of(&env, &text, &channel) else { return Ok(None) };
            blocked(channel.try_send(Message::raw(body))).map(|sent| Some(sent.is_ok()))
        });
        match sent {
            Either::A(Some(sent)) => Either3::A(sent),
            Either::A(None) => Either3::C(Null),
            Either::B(failure) => Either3::B(failure),
        }
    }

    /// As `channelSend` for bytes as they are and nothing beside them.
    #[napi]
    pub fn channel_send_bytes(&self, id: u32, body: &[u8]) -> Either<bool, Failure> {
        guard(|| match self.channels.get(id)?.send_bytes_until(body, None) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Sends a message when there is room.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "as above")]
    pub fn channel_send_later(
        &self,
        id: u32,
        codec: u32,
        body: Body,
        buffers: Option<Vec<Uint8Array>>,
        fds: Option<Vec<i32>>,
    ) -> Either<LockWait, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            let message = message_of(codec, body, buffers, fds)?;
            Ok(LockWait::new(async move { channel.send_async(message).await.map(|()| true).map_err(Error::from) }))
        })
    }

    /// What has come, up to a batch: null for nothing, the body of one message that is nothing but JSON or bytes, else an array that begins with what
    /// follows it (or the failure that ended the channel) and has the values of each message. The bytes of one small message are put into `room`, which
    /// costs less than memory of their own: their number. With `text` raw bytes are text, and one such message is an array of it alone.
    #[napi]
    pub fn channel_receive<'env>(&self, env: &'env Env, id: u32, room: Uint8Array, text: bool) -> napi::Result<Received<'env>> {
        let channel = match self.channels.get(id) {
            Ok(channel) => channel,
            Err(error) => return Ok(Either5::D(Failure::from(&error))),
        };
        let mut messages = Vec::new();
        let mut bytes = 0;
        let state = loop {
            match crate::error::catch(|| channel.take_ready()) {
                Ok(Some(message)) => {
                    bytes += message.size();
                    messages.push(message);
                    if messages.len() == BATCH || bytes > BATCH_BYTES {
                        break Ok(MORE);
                    }
                }
                Ok(None) => break Ok(NOTHING),
                Err(error) if error.kind() == ErrorKind::Closed => break Ok(ENDED),
                Err(error) => break Err(error),
            }
        };
        if matches!(state, Ok(NOTHING)) {
            if messages.is_empty() {
                return Ok(Either5::A(Null));
            }
            let plain = |message: &Message| matches!(message.codec, Codec::Json | Codec::Raw) && message.buffers.is_empty() && message.fds.is_empty();
            if messages.len() == 1 && plain(&messages[0]) {
                let message = messages.remove(0);
                if message.codec == Codec::Raw && text {
                    let mut array = env.create_array(1)?;
                    array.set(0, text_of(env, &message.body)?)?;
                    return Ok(Either5::C(array));
                }
                if message.codec == Codec::Raw && into_room(room, &message.body) {
                    return Ok(Either5::E(message.body.len() as u32));
                }
                return body_of(env, message.codec, message.body, text).map(Either5::B);
            }
        }
        let mut array = env.create_array(1 + VALUES * messages.len() as u32)?;
        match state {
            Ok(state) => array.set(0, state)?,
            Err(error) => array.set(0, Failure::from(&error))?,
        }
        for (index, message) in messages.into_iter().enumerate() {
            put(env, &mut array, 1 + VALUES * index as u32, message, text)?;
        }
        Ok(Either5::C(array))
    }

    /// Looks whether the other side is gone before the thread that watches for that has told.
    #[napi]
    pub fn channel_look_for_end(&self, id: u32) {
        if let Ok(channel) = self.channels.get(id) {
            channel.look_for_end();
        }
    }

    /// The descriptor to poll, for display.
    #[napi]
    pub fn channel_fd(&self, id: u32) -> i32 {
        self.channels.get(id).ok().and_then(|channel| channel.as_fd().map(|fd| fd.as_raw_fd()).ok()).unwrap_or(-1)
    }

    /// Whether either side has closed.
    #[napi]
    pub fn channel_closed(&self, id: u32) -> bool {
        self.channels.get(id).map_or(true, |channel| channel.is_closed())
    }

    /// Closes this end.
    #[napi]
    pub fn close_channel(&self, id: u32) {
        let channel = self.channels.open.borrow_mut().remove(&id);
        self.channels.watched.borrow_mut().remove(&id);
        if let Some(channel) = channel {
            if let Ok(fd) = channel.as_fd() {
                self.waiter.unwatch(id, fd);
            }
            channel.close();
        }
    }
}

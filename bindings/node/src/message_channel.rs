//! Channels of the core for `lib/message-channel.js`: messages come and go in batches, nothing here waits on JavaScript's thread.

use crate::error::{Failure, guard};
use crate::hub::Hub;
use crate::incoming::{NOTHING, taken};
use crate::message_parts::{Body, VALUES, message_for, message_of, put};
use crate::receiver::Receiver;
use crate::shared::wait::LockWait;
use napi::Env;
use napi::bindgen_prelude::{Array, Either, Either3, Function, Null, Uint8Array};
use napi_derive::napi;
use procs::{Channel, ChannelOptions, CodecSet, Error, ErrorKind, Message, Result, SendError, Spin, Wire};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::rc::Rc;
use std::time::Duration;

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

    /// Calls `came` from now on when something can be received (`incoming`). With `text` raw bytes are text.
    #[napi]
    pub fn channel_watch(&self, env: Env, id: u32, came: Function<'_, (), ()>, text: bool) -> napi::Result<Either<bool, Failure>> {
        let receiver = Receiver::new(&env, "procs", &came)?;
        Ok(guard(|| {
            let channel = self.channels.get(id)?;
            let channels = self.channels.clone();
            let tell = move |turn| channels.tell(id, turn, &receiver, text);
            self.waiter.watch(&env, id, (channel.as_fd()?, Box::new(channel.clone())), Rc::new(tell))?;
            self.channels.watched.borrow_mut().insert(id);
            Ok(true)
        }))
    }

    /// Tells also when there may be calls, from now on.
    #[napi]
    pub fn channel_serve(&self, id: u32) {
        self.channels.serving.borrow_mut().insert(id);
    }

    /// Ends what `channelWatch` began.
    #[napi]
    pub fn channel_unwatch(&self, id: u32) {
        self.channels.watched.borrow_mut().remove(&id);
        if let Ok(channel) = self.channels.get(id)
            && let Ok(fd) = channel.as_fd()
        {
            self.waiter.unwatch(id, fd);
        }
    }

    /// Sends a message; false when the other side has to read first.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object costs JavaScript and this module ten times as much as an argument")]
    pub fn channel_send(
        &self,
        env: Env,
        id: u32,
        codec: u32,
        body: Body<'_>,
        buffers: Option<Vec<Uint8Array>>,
        fds: Option<Vec<i32>>,
    ) -> Either<bool, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            Ok(blocked(channel.try_send(message_for(&channel, codec, (&env, body), buffers, fds)?))?.is_ok())
        })
    }

    /// Sends a message when there is room.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "as above")]
    pub fn channel_send_later(
        &self,
        env: Env,
        id: u32,
        codec: u32,
        body: Body<'_>,
        buffers: Option<Vec<Uint8Array>>,
        fds: Option<Vec<i32>>,
    ) -> Either<LockWait, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            let message = message_of(codec, (&env, body), buffers, fds)?;
            Ok(LockWait::new(async move { channel.send_async(message).await.map(|()| true).map_err(Error::from) }))
        })
    }

    /// What has come, up to a batch: null for nothing, else an array that begins with what follows it (or the failure that ended the channel) and has
    /// the values of each message. With `text` raw bytes are text.
    #[napi]
    pub fn channel_receive<'env>(&self, env: &'env Env, id: u32, text: bool) -> napi::Result<Either3<Null, Array<'env>, Failure>> {
        let channel = match self.channels.get(id) {
            Ok(channel) => channel,
            Err(error) => return Ok(Either3::C(Failure::from(&error))),
        };
        let (messages, state) = taken(&channel);
        if messages.is_empty() && matches!(state, Ok(NOTHING)) {
            return Ok(Either3::A(Null));
        }
        let mut array = env.create_array(1 + VALUES * messages.len() as u32)?;
        match state {
            Ok(state) => array.set(0, state)?,
            Err(error) => array.set(0, Failure::from(&error))?,
        }
        for (index, message) in messages.into_iter().enumerate() {
            put(env, &mut array, 1 + VALUES * index as u32, message, text)?;
        }
        Ok(Either3::B(array))
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
        self.channels.serving.borrow_mut().remove(&id);
        if let Some(channel) = channel {
            if let Ok(fd) = channel.as_fd() {
                self.waiter.unwatch(id, fd);
            }
            channel.close();
        }
    }
}

//! Calls over channels for `lib/message-calls.js`: asking, and answering. Nothing here blocks or has a thread of its own.

use crate::error::{Failure, guard};
use crate::hub::Hub;
use crate::message_channel::blocked;
use crate::message_parts::{Body, VALUES, message_of, put};
use crate::message_waits::{MessageWait, lock};
use crate::shared::wait::LockWait;
use napi::Env;
use napi::bindgen_prelude::{Array, Either, Either3, Null, Uint8Array};
use napi_derive::napi;
use procs::{CallStream, Error, Message, RemoteFailure, Request, Result, SendError};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A call as far as it has come.
enum Asked {
    /// It waits for room.
    Leaving,
    Open(CallStream),
    Over,
}

/// A call of this side and its replies.
#[napi]
pub struct Call {
    asked: Arc<Mutex<Asked>>,
    sending: Mutex<Option<LockWait>>,
}

type Beginning = Pin<Box<dyn Future<Output = Result<CallStream>> + Send>>;

impl Call {
    /// Sends at once if `now` and there is room.
    fn begin(mut beginning: Beginning, now: bool) -> Result<Call> {
        if now && let Poll::Ready(stream) = beginning.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Ok(Call { asked: Arc::new(Mutex::new(Asked::Open(stream?))), sending: Mutex::new(None) });
        }
        let asked = Arc::new(Mutex::new(Asked::Leaving));
        let theirs = asked.clone();
        let sending = LockWait::new(async move {
            let stream = beginning.await?;
            let mut asked = lock(&theirs);
            // Given up meanwhile: the stream is dropped, which tells the other side.
            if matches!(*asked, Asked::Leaving) {
                *asked = Asked::Open(stream);
            }
            Ok(true)
        });
        Ok(Call { asked, sending: Mutex::new(Some(sending)) })
    }
}

#[napi]
impl Call {
    /// The wait until it has left, once; null when it has.
    #[napi]
    pub fn sending(&self) -> Either<LockWait, Null> {
        lock(&self.sending).take().map_or(Either::B(Null), Either::A)
    }

    /// Waits for the next reply.
    #[napi]
    pub fn next(&self) -> MessageWait {
        let asked = self.asked.clone();
        MessageWait::new(poll_fn(move |context| match &mut *lock(&asked) {
            Asked::Open(stream) => stream.poll_next(context),
            _ => Poll::Ready(Ok(None)),
        }))
    }

    /// Tells the other side that no more is wanted.
    #[napi]
    pub fn end(&self) {
        *lock(&self.asked) = Asked::Over;
    }
}

fn poll_answer(request: &mut Option<Request>, message: &mut Option<Message>, last: bool, context: &mut Context<'_>) -> Poll<Result<bool>> {
    let Some(asked) = request.as_mut() else { return Poll::Ready(Ok(true)) };
    let sent = if last { asked.poll_reply(message, context) } else { asked.poll_reply_part(message, context) };
    sent.map(|sent| sent.map(|()| true).map_err(Error::from))
}

#[napi]
impl Hub {
    /// Calls the other side, for several replies if `parts`; at once if `now` and there is room, else `sending` of the call waits for that.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object costs JavaScript and this module ten times as much as an argument")]
    pub fn channel_call(
        &self,
        env: Env,
        id: u32,
        codec: u32,
        body: Body<'_>,
        buffers: Option<Vec<Uint8Array>>,
        fds: Option<Vec<i32>>,
        parts: bool,
        now: bool,
    ) -> Either<Call, Failure> {
        guard(|| {
            let channel = self.channels.get(id)?;
            let message = message_of(codec, (&env, body), buffers, fds)?;
            let beginning: Beginning =
                Box::pin(async move { if parts { channel.call_stream_async(message).await } else { channel.begin_call_async(message).await } });
            Call::begin(beginning, now)
        })
    }

    /// The next call of the other side, kept under this number: whether it takes parts, and its values; null when there is none.
    #[napi]
    pub fn channel_request<'env>(&self, env: &'env Env, id: u32, number: u32) -> napi::Result<Either<Array<'env>, Null>> {
        let request = self.channels.get(id).and_then(|channel| crate::error::catch(|| channel.try_next_request()));
        // The end and its reason are told by `channelReceive`.
        let Ok(Some(mut request)) = request else { return Ok(Either::B(Null)) };
        let mut array = env.create_array(1 + VALUES)?;
        array.set(0, request.takes_parts())?;
        put(env, &mut array, 1, request.take_message(), false)?;
        self.channels.keep_request(number, request);
        Ok(Either::A(array))
    }

    /// Whether the caller has given up.
    #[napi]
    pub fn request_cancelled(&self, number: u32) -> bool {
        self.channels.request(number).is_ok_and(|request| lock(&request).as_ref().is_none_or(Request::is_cancelled))
    }

    /// Answers a call, with one of several parts unless `last`. True when it was sent, else a wait for that.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "as above")]
    pub fn request_reply(
        &self,
        env: Env,
        number: u32,
        last: bool,
        codec: u32,
        body: Body<'_>,
        buffers: Option<Vec<Uint8Array>>,
        fds: Option<Vec<i32>>,
    ) -> Either3<bool, LockWait, Failure> {
        let answered = guard(|| {
            let request = self.channels.request(number)?;
            let message = message_of(codec, (&env, body), buffers, fds)?;
            if last {
                self.channels.drop_request(number);
            }
            let sent: std::result::Result<(), SendError> = match lock(&request).as_mut() {
                Some(asked) if last => asked.reply_until(message, None),
                Some(asked) => asked.reply_part_until(message, None),
                None => Ok(()),
            };
            Ok(blocked(sent)?.err().map(|message| {
                let (request, mut message) = (request.clone(), Some(message));
                LockWait::new(poll_fn(move |context| poll_answer(&mut lock(&request), &mut message, last, context)))
            }))
        });
        match answered {
            Either::A(None) => Either3::A(true),
            Either::A(Some(wait)) => Either3::B(wait),
            Either::B(failure) => Either3::C(failure),
        }
    }

    /// Ends the parts.
    #[napi]
    pub fn request_finish(&self, number: u32) {
        if let Some(request) = self.channels.drop_request(number).and_then(|request| lock(&request).take()) {
            request.finish();
        }
    }

    /// Answers a call with a failure.
    #[napi]
    pub fn request_fail(&self, number: u32, name: String, message: String, trace: String) {
        if let Some(request) = self.channels.drop_request(number).and_then(|request| lock(&request).take()) {
            request.fail(RemoteFailure { name, message, trace });
        }
    }
}

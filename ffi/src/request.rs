//! Calls over a channel: asking, and answering.

use crate::capture::exclusive;
use crate::channel::{channel, procs_channel, send_object, until};
use crate::child::not_yet;
use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::message::{MessageObject, message, procs_message};
use crate::ptr::{Operation, Out, optional_text};
use crate::slab::{self, Object, lock};
use crate::status::procs_status;
use procs::{CallStream, Error, ErrorKind, RemoteFailure, Request, Result};
use std::ffi::{OsStr, c_char, c_int};
use std::sync::Mutex;

/// A call of the other side, to be answered once.
pub struct procs_request {
    _opaque: [u8; 0],
}

/// The replies to a call, one after the other.
pub struct procs_call_stream {
    _opaque: [u8; 0],
}

/// The request; taken out when it is answered.
pub(crate) struct RequestObject(Mutex<Option<Request>>);

impl Object for RequestObject {
    type Handle = procs_request;
    const TAG: usize = 42;
    const NOUN: &'static str = "request";
}

impl RequestObject {
    pub(crate) fn handle(request: Request) -> Result<*mut procs_request> {
        slab::insert(RequestObject(Mutex::new(Some(request))))
    }
}

struct StreamObject(Mutex<CallStream>);

impl Object for StreamObject {
    type Handle = procs_call_stream;
    const TAG: usize = 43;
    const NOUN: &'static str = "stream";
}

fn answered(operation: Operation) -> Error {
    Error::new(ErrorKind::InvalidState, operation, "the request was answered before")
}

/// Calls the other side with a message and waits at most `timeout_ms` for its reply. Owned: free the reply with `procs_message_free`. The message
/// is empty afterwards.
///
/// Any number of threads may call at once, beside others that receive.
///
/// Errors: PROCS_E_TIMEOUT: the other side is told, and what it still replies is dropped; PROCS_E_TASK_FAILED: the other side failed,
/// `procs_last_error_remote_name` and `_trace` say more; PROCS_E_CLOSED; as `procs_channel_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_call(
    channel: *const procs_channel,
    message: *mut procs_message,
    timeout_ms: i64,
    reply: *mut *mut procs_message,
) -> procs_status {
    let operation = "procs_channel_call";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "reply", reply)?;
        let place = self::message(operation, message)?;
        let question = std::mem::take(&mut *exclusive(operation, &place.0)?);
        out.set(MessageObject::handle(object.channel().call(question, limit)?)?);
        Ok(())
    })
}

/// Calls the other side for any number of replies; it may be sixteen ahead. Owned: free the stream with `procs_call_stream_free`.
///
/// Errors: as `procs_channel_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_call_stream(
    channel: *const procs_channel,
    message: *mut procs_message,
    stream: *mut *mut procs_call_stream,
) -> procs_status {
    let operation = "procs_channel_call_stream";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let out = Out::new(operation, "stream", stream)?;
        let place = self::message(operation, message)?;
        let question = std::mem::take(&mut *exclusive(operation, &place.0)?);
        out.set(slab::insert(StreamObject(Mutex::new(object.channel().call_stream(question)?)))?);
        Ok(())
    })
}

/// The next reply; `*message` is NULL when there are no more. Waits at most `timeout_ms`. Owned: free it with `procs_message_free`.
///
/// Errors: as `procs_channel_call`; after PROCS_E_TIMEOUT the stream goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_call_stream_next(stream: *mut procs_call_stream, timeout_ms: i64, message: *mut *mut procs_message) -> procs_status {
    let operation = "procs_call_stream_next";
    guard(operation, || {
        let object = slab::get::<StreamObject>(operation, stream)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "message", message)?;
        let next = exclusive(operation, &object.0)?.next_timeout(limit)?;
        out.set(next.map(MessageObject::handle).transpose()?.unwrap_or(std::ptr::null_mut()));
        Ok(())
    })
}

/// Frees a stream; if it has not ended, the other side is told that no more is wanted. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_call_stream_free(stream: *mut procs_call_stream) -> procs_status {
    let operation = "procs_call_stream_free";
    guard(operation, || slab::remove::<StreamObject>(operation, stream).map(drop))
}

/// The next call of the other side; waits at most `timeout_ms`. Owned: answer it, then free it with `procs_request_free`.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; as `procs_channel_recv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_next_request(
    channel: *const procs_channel,
    timeout_ms: i64,
    request: *mut *mut procs_request,
) -> procs_status {
    let operation = "procs_channel_next_request";
    guard(operation, || {
        let object = self::channel(operation, channel)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "request", request)?;
        let next = match until(limit) {
            Some(_) => object.channel().next_request(limit)?,
            None => object.channel().try_next_request()?,
        };
        out.set(RequestObject::handle(next.ok_or_else(|| not_yet(operation, "no call came", limit))?)?);
        Ok(())
    })
}

/// Takes what the caller sent. Owned: free it with `procs_message_free`. A second time it is empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_take_message(request: *mut procs_request, message: *mut *mut procs_message) -> procs_status {
    let operation = "procs_request_take_message";
    guard(operation, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        let out = Out::new(operation, "message", message)?;
        let taken = exclusive(operation, &object.0)?.as_mut().ok_or_else(|| answered(operation))?.take_message();
        out.set(MessageObject::handle(taken)?);
        Ok(())
    })
}

fn ask(operation: Operation, request: *const procs_request, ask: impl FnOnce(&Request) -> bool) -> c_int {
    if request.is_null() {
        return 0;
    }
    guard_value(operation, 0, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        let request = lock(&object.0);
        Ok(request.as_ref().is_some_and(ask).into())
    })
}

/// 1 when the caller takes several replies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_takes_parts(request: *const procs_request) -> c_int {
    ask("procs_request_takes_parts", request, Request::takes_parts)
}

/// 1 when the caller has given up: its time is over, it has dropped the call, or it is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_is_cancelled(request: *const procs_request) -> c_int {
    ask("procs_request_is_cancelled", request, Request::is_cancelled)
}

/// Answers with this message, which is the last of the parts if there were any. The message is empty afterwards, unless it could not be sent; the
/// request counts as answered in any case.
///
/// Errors: PROCS_E_CANCELLED when the caller no longer wants it; as `procs_channel_send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_reply(request: *mut procs_request, message: *mut procs_message) -> procs_status {
    let operation = "procs_request_reply";
    guard(operation, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        let place = self::message(operation, message)?;
        let request = exclusive(operation, &object.0)?.take().ok_or_else(|| answered(operation))?;
        send_object(operation, &place, |message| request.reply(message))
    })
}

/// Sends one of several replies; waits at most `timeout_ms` until the caller takes more. The message is empty afterwards, unless it could not be
/// sent.
///
/// Errors: as `procs_request_reply`; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_INVALID_STATE when the caller takes one
/// reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_reply_part(request: *mut procs_request, message: *mut procs_message, timeout_ms: i64) -> procs_status {
    let operation = "procs_request_reply_part";
    guard(operation, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        let limit = until(timeout(operation, "timeout_ms", timeout_ms)?);
        let place = self::message(operation, message)?;
        let request = exclusive(operation, &object.0)?;
        let request = request.as_ref().ok_or_else(|| answered(operation))?;
        send_object(operation, &place, |message| request.reply_part_until(message, limit))
    })
}

/// Ends the parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_finish(request: *mut procs_request) -> procs_status {
    let operation = "procs_request_finish";
    guard(operation, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        exclusive(operation, &object.0)?.take().ok_or_else(|| answered(operation))?.finish();
        Ok(())
    })
}

/// Answers that it failed: the caller gets PROCS_E_TASK_FAILED with `message`. `name` and `trace` may be NULL. All are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_fail(
    request: *mut procs_request,
    name: *const c_char,
    message: *const c_char,
    trace: *const c_char,
) -> procs_status {
    let operation = "procs_request_fail";
    guard(operation, || {
        let object = slab::get::<RequestObject>(operation, request)?;
        let read = |what: &str, pointer| {
            let text = optional_text(operation, what, pointer)?;
            Ok::<String, Error>(text.map(OsStr::to_string_lossy).unwrap_or_default().into_owned())
        };
        let failure = RemoteFailure { name: read("name", name)?, message: read("message", message)?, trace: read("trace", trace)? };
        exclusive(operation, &object.0)?.take().ok_or_else(|| answered(operation))?.fail(failure);
        Ok(())
    })
}

/// Frees a request; one that was not answered fails for the caller. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_request_free(request: *mut procs_request) -> procs_status {
    let operation = "procs_request_free";
    guard(operation, || slab::remove::<RequestObject>(operation, request).map(drop))
}

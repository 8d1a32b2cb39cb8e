'use strict';

// Calls over a channel: waiting for replies, and answering.

const { hub, answer, newId } = require('./hub.js');
const { AbortError, ProcsError, isFailure, unwrap } = require('./errors.js');
const { decode } = require('./message-codecs.js');

/** Waits until a wait of the core is over; `stop(end)` is given a function that withdraws it. */
async function finished(wait, stop) {
  stop?.(() => wait.cancel());
  for (;;) {
    await answer((id) => wait.look(hub, id), () => undefined);
    const result = wait.result();
    if (result !== null) return unwrap(result);
  }
}

/** The reply to a call. */
async function reply(wait, { timeout, signal }) {
  if (signal?.aborted) throw new AbortError(signal.reason);
  let late = false;
  const cancel = () => wait.cancel();
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    late = true;
    cancel();
  }, timeout);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    await finished(wait);
  } catch (error) {
    if (signal?.aborted) throw new AbortError(signal.reason);
    if (late) throw new ProcsError('channel.call: no reply came before the deadline', 'TIMEOUT', 'ETIMEDOUT');
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
  const [codec, body] = wait.take();
  return decode(codec, body);
}

/** The replies to a call, one after the other. */
async function* replies(stream, signal) {
  let abort;
  try {
    for (;;) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      const wait = stream.next();
      abort = () => wait.cancel();
      signal?.addEventListener('abort', abort, { once: true });
      let more;
      try {
        more = await finished(wait);
      } catch (error) {
        throw signal?.aborted ? new AbortError(signal.reason) : error;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
      if (!more) return;
      const [codec, body] = wait.take();
      yield decode(codec, body);
    }
  } finally {
    stream.end();
  }
}

/** What the caller no longer wants, or whose caller is gone, needs no answer. */
function isUnwanted(error) {
  return error.kind === 'CANCELLED' || error.kind === 'CLOSED' || error.kind === 'INVALID_STATE';
}

async function send(number, last, codec, value) {
  const sent = hub.requestReply(number, last, codec.number, codec.encode(value));
  if (sent === true) return;
  if (isFailure(sent)) unwrap(sent);
  await finished(sent);
}

async function sendParts(number, codec, parts) {
  for await (const part of parts) await send(number, false, codec, part);
  hub.requestFinish(number);
}

/** Answers one call with what the handler returns; the parts of a generator one by one, where the caller takes parts. */
async function serve(number, [takesParts, codecNumber, body], handler, codec) {
  const request = {
    get cancelled() {
      return hub.requestCancelled(number);
    },
  };
  try {
    const value = await handler(decode(codecNumber, body), request);
    const isParts = takesParts && value !== null && typeof value === 'object' && typeof value.next === 'function';
    if (isParts) await sendParts(number, codec, value);
    else await send(number, true, codec, value === undefined ? null : value);
  } catch (error) {
    const known = error instanceof Error;
    if (!known || !isUnwanted(error)) {
      hub.requestFail(number, known ? error.name : typeof error, known ? error.message : String(error), known ? error.stack ?? '' : '');
    } else {
      hub.requestFinish(number);
    }
  }
}

/** Takes every call that is there; true when there was one. */
function serveAll(id, handler, codec) {
  let any = false;
  for (;;) {
    const number = newId();
    const request = hub.channelRequest(id, number);
    if (request === null) return any;
    any = true;
    serve(number, request, handler, codec);
  }
}

module.exports = { finished, reply, replies, serveAll };

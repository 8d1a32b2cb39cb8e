'use strict';

// Calls over a channel: waiting for replies, and answering.

const { hub, answer, newId } = require('./hub.js');
const { AbortError, ProcsError, isFailure, unwrap } = require('./errors.js');
const { decode, beside } = require('./message-codecs.js');

/** Waits until a wait of the core is over; `stop(end)` is given a function that withdraws it. */
async function finished(wait, stop) {
  stop?.(() => wait.cancel());
  for (;;) {
    await answer((id) => wait.look(hub, id), () => undefined);
    const result = wait.result();
    if (result !== null) return unwrap(result);
  }
}

/** Waits until a call has left, where it could not at once. */
async function left(sending) {
  if (sending !== null) await sending;
}

/** The reply to a call that `sending` (null or a promise) is told to have left. */
async function reply(call, sending, { timeout, signal }) {
  let late = false;
  let wait = null;
  let stopped = false;
  const cancel = () => {
    stopped = true;
    call.end();
    wait?.cancel();
  };
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    late = true;
    cancel();
  }, timeout);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    await left(sending);
    if (!stopped) {
      wait = call.next();
      await finished(wait);
    }
    if (stopped) throw new ProcsError('channel.call: it was given up', 'CANCELLED', 'ECANCELED');
    return wait.take();
  } catch (error) {
    if (signal?.aborted) throw new AbortError(signal.reason);
    if (late) throw new ProcsError('channel.call: no reply came before the deadline', 'TIMEOUT', 'ETIMEDOUT');
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

/** The replies to a call, one after the other, each through `convert`. */
async function* replies(call, sending, signal, convert) {
  let wait = null;
  const abort = () => {
    call.end();
    wait?.cancel();
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await left(sending);
    for (;;) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      wait = call.next();
      let more;
      try {
        more = await finished(wait);
      } catch (error) {
        throw signal?.aborted ? new AbortError(signal.reason) : error;
      }
      if (!more) {
        if (signal?.aborted) throw new AbortError(signal.reason);
        return;
      }
      yield convert(wait.take());
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    call.end();
  }
}

/** What the caller no longer wants, or whose caller is gone, needs no answer. */
function isUnwanted(error) {
  return error.kind === 'CANCELLED' || error.kind === 'CLOSED' || error.kind === 'INVALID_STATE';
}

/** A reply with what goes beside it. */
class Reply {
  constructor(value, buffers, fds) {
    this.value = value;
    this.buffers = buffers;
    this.fds = fds;
  }
}

/** One call, as its handler sees it. */
class Request {
  #number;

  constructor(number, buffers, fds) {
    this.#number = number;
    this.buffers = buffers ?? [];
    this.fds = fds ?? [];
  }

  get cancelled() {
    return hub.requestCancelled(this.#number);
  }

  /** A reply, or one part of it, with buffers and descriptors: for the handler to return or yield. */
  reply(value, options = {}) {
    const { buffers, fds } = beside(options);
    return new Reply(value, buffers, fds);
  }
}

async function send({ number, last, codec, outbox }, value) {
  // What was sent before goes before.
  await outbox.passed();
  const { buffers, fds } = value instanceof Reply ? value : {};
  if (value instanceof Reply) ({ value } = value);
  const sent = hub.requestReply(number, last, codec.number, codec.encode(value === undefined ? null : value), buffers, fds);
  if (sent === true) return;
  if (isFailure(sent)) unwrap(sent);
  await finished(sent);
}

/** Answers one call with what the handler returns; the parts of a generator one by one, where the caller takes parts. */
async function serve(number, [takesParts, codecNumber, body, buffers, fds], handler, codec, outbox) {
  try {
    const value = await handler(decode(codecNumber, body), new Request(number, buffers, fds));
    const isParts = takesParts && value !== null && typeof value === 'object' && typeof value.next === 'function';
    if (isParts) {
      for await (const part of value) await send({ number, last: false, codec, outbox }, part);
      await outbox.passed();
      hub.requestFinish(number);
    } else {
      await send({ number, last: true, codec, outbox }, value);
    }
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
function serveAll(id, handler, codec, outbox) {
  let any = false;
  for (;;) {
    const number = newId();
    const request = hub.channelRequest(id, number);
    if (request === null) return any;
    any = true;
    serve(number, request, handler, codec, outbox);
  }
}

module.exports = { finished, reply, replies, serveAll };

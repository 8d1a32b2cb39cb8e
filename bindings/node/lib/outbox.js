'use strict';

// What a native channel is given to send: at once where there is room, else in order as the other side reads.

const { hub, quick } = require('./hub.js');
const { ProcsError, isFailure, unwrap } = require('./errors.js');
const calls = require('./message-calls.js');
const { shapeOf } = require('./texts.js');

/** Number of the codec of bytes as they are. */
const RAW = 0;

/** Bytes of a message. */
function bytesOf(body, buffers) {
  const own = Buffer.byteLength(body);
  return buffers === undefined ? own : buffers.reduce((sum, buffer) => sum + buffer.byteLength, own);
}

class Outbox {
  #id;
  #limit;
  #told;
  /** Messages for which the other side has to make room. */
  #queue = [];
  #flowing = false;
  /** Bytes that wait. */
  bytes = 0;

  /** `told.failed(error)` for a message without a callback, `told.empty()` when nothing waits any more. */
  constructor(id, limit, told) {
    this.#id = id;
    this.#limit = limit;
    this.#told = told;
  }

  /** Messages that wait. */
  get length() {
    return this.#queue.length;
  }

  /** True when the message has left, false when it waits, a failure when it cannot go. The callback is told in the first two cases. */
  send(codec, body, buffers, fds, callback) {
    if (this.#queue.length === 0) {
      const sent = this.#now(codec, body, buffers, fds);
      if (sent === true && callback !== undefined) process.nextTick(callback, null);
      if (sent !== false) return sent;
    }
    const size = bytesOf(body, buffers);
    this.#check(size);
    // From here on the message is the core's: what the caller changes afterwards changes nothing.
    const wait = hub.channelSendLater(this.#id, codec, body, buffers, fds);
    if (isFailure(wait)) return wait;
    this.#add({ wait, size, callback });
    return false;
  }

  #now(codec, body, buffers, fds) {
    if (buffers !== undefined || fds !== undefined) return hub.channelSend(this.#id, codec, body, buffers, fds);
    if (typeof body === 'string') return quick.channelSendText(this.#id, codec, body, shapeOf(body));
    return codec === RAW ? quick.channelSendBytes(this.#id, body) : hub.channelSend(this.#id, codec, body, undefined, undefined);
  }

  /** A call in its place among the messages: the call, and null or the promise that it has left. */
  call(codec, body, { buffers, fds }, parts) {
    const size = bytesOf(body, buffers);
    this.#check(size);
    const call = unwrap(hub.channelCall(this.#id, codec, body, buffers, fds, parts, this.#queue.length === 0));
    const wait = call.sending();
    if (wait === null) return { call, sending: null };
    return { call, sending: new Promise((resolve, reject) => {
      this.#add({ wait, size, callback: (error) => (error === null ? resolve() : reject(error)) });
    }) };
  }

  /** Resolves once everything that waits now has left. */
  async passed() {
    if (this.#queue.length > 0) await new Promise((resolve) => this.#add({ wait: null, size: 0, callback: resolve }));
  }

  #check(size) {
    if (this.bytes + size > this.#limit && this.#queue.length > 0) {
      throw new ProcsError(`channel.send: too much waits for the other side (maxQueuedBytes = ${this.#limit})`, 'WOULD_BLOCK', 'EAGAIN');
    }
  }

  #add(entry) {
    this.bytes += entry.size;
    this.#queue.push(entry);
    if (!this.#flowing) this.#flow();
  }

  /** Sends what waits, one after the other. */
  async #flow() {
    this.#flowing = true;
    while (this.#queue.length > 0) {
      const { wait, size, callback } = this.#queue[0];
      let failure = null;
      try {
        if (wait !== null) await calls.finished(wait);
      } catch (error) {
        failure = error;
      }
      this.#queue.shift();
      this.bytes -= size;
      callback?.(failure);
      if (failure !== null && callback === undefined) this.#told.failed(failure);
    }
    this.#flowing = false;
    this.#told.empty();
  }
}

module.exports = { Outbox };

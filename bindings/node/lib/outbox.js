'use strict';

// What a native channel is given to send: at once where there is room, else in order as the other side reads.

const { hub } = require('./hub.js');
const { ProcsError, isFailure } = require('./errors.js');
const calls = require('./message-calls.js');

const EMPTY = Object.freeze([]);

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
      const sent = hub.channelSend(this.#id, codec, body, buffers, fds);
      if (sent === true && callback !== undefined) process.nextTick(callback, null);
      if (sent !== false) return sent;
    }
    const size = (buffers ?? EMPTY).reduce((sum, buffer) => sum + buffer.byteLength, Buffer.byteLength(body));
    // From here on the message is the core's: what the caller changes afterwards changes nothing.
    return this.#add(size, callback, () => hub.channelSendLater(this.#id, codec, body, buffers, fds));
  }

  /** The same for anything else that needs room: `start` makes its wait. A failure when it cannot go. */
  #add(size, callback, start) {
    if (this.bytes + size > this.#limit && this.#queue.length > 0) {
      throw new ProcsError(`channel.send: too much waits for the other side (maxQueuedBytes = ${this.#limit})`, 'WOULD_BLOCK', 'EAGAIN');
    }
    const wait = start();
    if (isFailure(wait)) return wait;
    this.bytes += size;
    this.#queue.push({ wait, size, callback });
    if (!this.#flowing) this.#flow();
    return false;
  }

  /** Sends what waits, one after the other. */
  async #flow() {
    this.#flowing = true;
    while (this.#queue.length > 0) {
      const { wait, size, callback } = this.#queue[0];
      let failure = null;
      try {
        await calls.finished(wait);
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

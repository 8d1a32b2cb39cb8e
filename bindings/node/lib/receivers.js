'use strict';

// Those who wait for the next message of a channel, in order, each as long as it wants to.

const { AbortError, ProcsError } = require('./errors.js');
const check = require('./validate.js');

/** Checks `{timeout, signal}`; no limit is undefined. */
function waitOptions(options) {
  check.object(options, 'options');
  let { timeout } = options;
  const { signal } = options;
  if (timeout === Infinity || timeout === null) timeout = undefined;
  if (timeout !== undefined) check.timeout(timeout);
  if (signal !== undefined) check.abortSignal(signal, 'options.signal');
  return { timeout, signal };
}

class Receivers {
  #waiting = [];
  #changed;

  /** `changed` is called when one more waits, or one has given up. */
  constructor(changed) {
    this.#changed = changed;
  }

  get length() {
    return this.#waiting.length;
  }

  /** The promise of the next message. */
  next({ timeout, signal }) {
    return new Promise((resolve, reject) => {
      let timer;
      const done = (settle) => (value) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        settle(value);
      };
      const receiver = { resolve: done(resolve), reject: done(reject) };
      const withdraw = (error) => {
        this.#waiting.splice(this.#waiting.indexOf(receiver), 1);
        receiver.reject(error);
        this.#changed();
      };
      const abort = () => withdraw(new AbortError(signal.reason));
      if (timeout !== undefined) {
        timer = setTimeout(() => withdraw(new ProcsError('channel.recv: no message came before the deadline', 'TIMEOUT', 'ETIMEDOUT')), timeout);
      }
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(receiver);
      this.#changed();
    });
  }

  /** The one who waits longest, who waits no more; undefined when there is none. */
  shift() {
    return this.#waiting.shift();
  }

  /** Tells all that nothing comes any more. */
  refuse(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

module.exports = { Receivers, waitOptions };

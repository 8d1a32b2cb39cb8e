'use strict';

// What both kinds of channel have in common, our own and the one over Node's wire: how values are taken, and what keeps the event loop alive.

const { EventEmitter } = require('node:events');
const { ProcsError } = require('./errors.js');
const { waitOptions } = require('./receivers.js');

/** Methods of a class that extends this one. Somebody wants more or less of what comes than before. */
const kArrange = Symbol('kArrange');
/** The next message, within limits. */
const kNext = Symbol('kNext');
/** Whether this end was not closed. */
const kIsOpen = Symbol('kIsOpen');

function closedError() {
  return new ProcsError('channel: it is closed', 'CLOSED', 'EPIPE');
}

class MessageEnd extends EventEmitter {
  #referenced = true;

  constructor() {
    super();
    const later = () => process.nextTick(() => this[kArrange]());
    this.on('newListener', later);
    this.on('removeListener', later);
  }

  /** The next value. With `{message: true}` all of the message. */
  async recv(options = {}) {
    const message = await this[kNext](waitOptions(options));
    return options.message ? message : message.value;
  }

  /** The values until the channel has ended. */
  async* [Symbol.asyncIterator]() {
    for (;;) {
      let value;
      try {
        value = await this.recv();
      } catch (error) {
        if (error.kind === 'CLOSED' || (error.kind === 'INVALID_STATE' && !this[kIsOpen]())) return;
        throw error;
      }
      yield value;
    }
  }

  /** Keeps the event loop alive while somebody waits for messages (the state at the beginning). */
  ref() {
    this.#referenced = true;
    this[kArrange]();
    return this;
  }

  /** Lets the event loop end although somebody waits for messages. */
  unref() {
    this.#referenced = false;
    this[kArrange]();
    return this;
  }

  hasRef() {
    return this.#referenced;
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }
}

module.exports = { MessageEnd, closedError, kArrange, kNext, kIsOpen };

'use strict';

const { EventEmitter } = require('node:events');

/** What users see as `child.channel`: keeps the event loop alive, or not. */
class Control extends EventEmitter {
  #channel;
  #users = 0;
  #decided = false;

  constructor(channel) {
    super();
    this.#channel = channel;
  }

  ref() {
    this.#decided = true;
    this.#channel.reference(true);
  }

  unref() {
    this.#decided = true;
    this.#channel.reference(false);
  }

  /** As `ref` and `unref` for libraries that count who waits for messages; without effect once somebody called one of those. */
  refCounted() {
    if (++this.#users === 1 && !this.#decided) this.#channel.reference(true);
  }

  unrefCounted() {
    if (--this.#users > 0 || this.#decided) return;
    this.#channel.reference(false);
    this.emit('unref');
  }

  hasRef() {
    return this.#channel.referenced;
  }

  get fd() {
    return this.#channel.fd;
  }

  /** What is spoken: 'node', or 'native' with a child that has changed over. */
  get wire() {
    return this.#channel.wire;
  }
}

module.exports = { Control };

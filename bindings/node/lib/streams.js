'use strict';

// The streams of one child. They come into being when somebody looks at them: most children have some that nobody ever does.

const net = require('node:net');
const { isFailure, fromFailure } = require('./errors.js');
const sockets = require('./sockets.js');
const stdio = require('./stdio.js');

/** Streams that became another child's: never drained here. */
const handedOver = new WeakSet();

/** What becomes of a pipe: nobody looked at it; the native side collects it for somebody; a stream; gone; something the user put there. */
const UNTOUCHED = 0;
const COLLECTED = 1;
const OPEN = 2;
const DONE = 3;

/** A stream for a pipe that was read to its end before anybody looked. */
function endedStream() {
  const socket = new net.Socket({ readable: false, writable: false });
  socket.destroy();
  // Its events are over: whoever looks now has missed them.
  socket.emit = () => false;
  setImmediate(() => { delete socket.emit; });
  return socket;
}

function closeEach(count, onclose) {
  for (let index = 0; index < count; index++) onclose();
}

class Streams {
  #handle;
  #plans;
  #states;
  #streams;
  #list = null;
  /** Streams that are not read yet, each at its number. */
  #waiting = [];
  #onclose;
  /** Of execFile: wants `attach(index, stream, bytes)`, `done(index, over, closed)` and `closed()`. */
  collector = null;

  constructor(handle, plans, onclose) {
    this.#handle = handle;
    this.#plans = plans.list;
    this.#onclose = onclose;
    this.#states = this.#plans.map(() => UNTOUCHED);
    this.#streams = this.#plans.map(() => null);
    if (handle !== null) handle.streams = this;
    for (let index = 0; index < this.#plans.length; index++) {
      const { wrapped, code } = this.#plans[index];
      if (wrapped) {
        sockets.release(wrapped);
        handedOver.add(wrapped);
      }
      if (code !== stdio.PIPE) this.#states[index] = DONE;
      else if (index > 2) this.#open(index);
    }
  }

  /** The pipes whose end the child's 'close' waits for. As in Node not stdin's: a program that exits with unread input would hold it back. */
  get outputs() {
    let count = 0;
    for (let index = 1; index < this.#plans.length; index++) if (this.#plans[index].code === stdio.PIPE) count++;
    return count;
  }

  /**
   * Whether an output waits for the end of the turn, because a lower one may still be opened in it. Of outputs that both have something the one tells
   * first whose reading began first, and that is, as in Node, the lower one.
   */
  #waits(index) {
    if (!this.#states.some((state, lower) => state === UNTOUCHED && lower > 0 && lower < index)) return false;
    if (this.#waiting.length === 0) process.nextTick(() => this.#beginReading());
    return true;
  }

  #beginReading() {
    this.#waiting.forEach(sockets.beginReading); // by number
    this.#waiting.length = 0;
  }

  #open(index) {
    const collected = this.#states[index] === COLLECTED;
    const bytes = index === 1 || index === 2 ? this.#handle.ahead(index) : null;
    const waits = this.#waits(index);
    const socket = sockets.socketFor(this.#handle.takeEnd(index), index, waits);
    if (waits) this.#waiting[index] = socket;
    this.#states[index] = OPEN;
    this.#streams[index] = socket;
    if (index > 0) socket.on('close', this.#onclose);
    if (collected) this.#handle.release();
    if (this.collector !== null && index > 0) this.collector.attach(index, socket, collected && !isFailure(bytes) ? bytes : null);
    // What was read ahead comes first.
    if (isFailure(bytes)) socket.destroy(fromFailure(bytes));
    else if (!collected && bytes !== null && bytes.length > 0) socket.push(bytes);
    return socket;
  }

  /** One stream, null where there is no pipe. */
  get(index) {
    if (index >= this.#plans.length) return null;
    if (this.#plans[index].code === stdio.PIPE && this.#streams[index] === null) {
      if (this.#states[index] === DONE) this.#streams[index] = endedStream();
      else this.#open(index);
    }
    return this.#streams[index];
  }

  /** Puts something in place of a stream. */
  set(index, value) {
    if (index < this.#plans.length && this.#plans[index].code === stdio.PIPE && this.#states[index] !== DONE) this.get(index);
    this.#states[index] = DONE;
    this.#streams[index] = value;
    if (index >= this.#plans.length) {
      this.#plans = this.#plans.slice(); // they may be shared by many children
      this.#plans[index] = { code: stdio.IGNORE };
    }
  }

  /** All of them. */
  get list() {
    this.#list ??= this.#plans.map((plan, index) => this.get(index));
    return this.#list;
  }

  set list(value) {
    this.#list = value;
  }

  /** What was opened, for whoever must not open more. */
  opened(index) {
    return this.#streams[index] ?? null;
  }

  /** The start is over and everybody around it had a chance to look: from now on the native side reads what nobody wants yet. */
  watch() {
    for (let index = 1; index < 3; index++) {
      if (this.#states[index] !== UNTOUCHED) continue;
      if (this.collector === null) this.#handle.readAhead(index);
      else if (this.#handle.collect(index, this.collector.limit)) this.#states[index] = COLLECTED;
    }
  }

  /** The native side has read a stream to its end, or more of it than its limit. */
  nativeEnd(index, over) {
    const collected = this.#states[index] === COLLECTED;
    // First, because what the collector does may come back here.
    this.#states[index] = DONE;
    if (collected) this.collector.done(index, over, false);
    this.#onclose();
  }

  /** The child's 'close' has been told. */
  closed() {
    if (this.collector !== null) this.collector.closed();
  }

  /** Whether nothing is left to come from the streams of this process. */
  areRead() {
    for (let index = 1; index < this.#streams.length; index++) {
      const stream = this.#streams[index];
      if (this.#states[index] === OPEN && !stream.readableEnded && !stream.destroyed) return false;
    }
    return true;
  }

  /** Closes standard input once the child has ended; its pipe is gone with the child. */
  closeInput() {
    if (this.#states[0] === UNTOUCHED) this.#states[0] = DONE;
    else this.#streams[0]?.destroy();
  }

  /** Closes an output and stops collecting it. */
  destroy(index) {
    const state = this.#states[index];
    if (state === OPEN) {
      this.#streams[index].destroy();
    } else if (state === COLLECTED) {
      this.#states[index] = DONE;
      this.collector.done(index, false, true);
      this.#handle.release();
      process.nextTick(this.#onclose);
    } else if (state === UNTOUCHED) {
      this.get(index).destroy();
    }
  }

  /** The user's handlers have had their last chance to read; what nobody reads is drained so that 'close' comes. */
  drain() {
    let closed = 0;
    for (let index = 1; index < this.#plans.length; index++) {
      const stream = this.#streams[index];
      if (stream !== null) {
        if (stream?.readable && !handedOver.has(stream)) stream.resume();
      } else if (this.#states[index] === UNTOUCHED && !this.#handle.discard(index)) {
        this.#states[index] = DONE;
        closed++;
      }
    }
    // In a later turn of the loop, as a stream of Node's closes: whoever waited for 'exit' can still begin to wait for 'close'.
    if (closed > 0) setImmediate(closeEach, closed, this.#onclose);
  }
}

module.exports = { Streams };

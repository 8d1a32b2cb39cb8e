'use strict';

// The channel to a parent that speaks Node's wire, with the face of Channel: messages by `process.send` and 'message'. What that wire has not is refused.

const { AbortError, ProcsError, nodeError } = require('./errors.js');
const { beside } = require('./message-codecs.js');
const { MessageEnd, closedError, kArrange, kNext, kIsOpen } = require('./message-end.js');
const { Receivers } = require('./receivers.js');
const check = require('./validate.js');

const RESERVED = 'NODE_';
const JSON_CODEC = 1;
/** What keeps the event loop alive in Node's count: a listener for each of these. */
const EVENTS = ['message', 'disconnect'];

function refused(operation, what) {
  const how = "the parent starts this program with the option wire 'native', or from Node by spawn with `channel`";
  return new ProcsError(`channel.${operation}: ${what} (wire = node, expected native: ${how})`, 'UNSUPPORTED', 'ERR_PROCS_UNSUPPORTED');
}

/** Whether this process has a parent that speaks Node's wire, on its own main thread. */
function isThere() {
  return process.connected === true && typeof process.send === 'function';
}

/** What came with a message: the handle is what Node made of it. */
class ProcessMessage {
  constructor(value, handle) {
    this.value = value;
    this.codec = 'json';
    this.buffers = [];
    this.fds = [];
    this.handle = handle;
  }

  get body() {
    return JSON.stringify(this.value);
  }
}

class ProcessChannel extends MessageEnd {
  #waiting = [];
  #receivers = new Receivers(() => this[kArrange]());
  #open = true;
  #ended = false;
  /** Whether Node counts this channel among what keeps the event loop alive. */
  #held = true;
  #unwritten = 0;
  #isFull = false;
  #isTold = false;
  #came = (value, handle) => this.#arrived(new ProcessMessage(value, handle));
  #left = () => this.#end();

  /** Fails for a codec that Node's wire has not. */
  constructor(codec) {
    if (codec.number !== JSON_CODEC) throw refused('parent', 'Node\'s wire carries JSON only');
    super();
    // At once: Node drops what nobody has listened for when the parent disconnects.
    process.on('message', this.#came);
    process.on('disconnect', this.#left);
    this[kArrange]();
  }

  get codec() {
    return 'json';
  }

  get fd() {
    return this.#open ? process.channel?.fd ?? -1 : -1;
  }

  get closed() {
    return !this.#open || this.#ended || !process.connected;
  }

  get queuedMessages() {
    return this.#unwritten;
  }

  [kIsOpen]() {
    return this.#open;
  }

  #check() {
    if (!this.#open) throw new ProcsError('channel: it was closed', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
  }

  [kArrange]() {
    const hears = this.listenerCount('message') > 0;
    if (hears) this.#deliver();
    this.#tellClose();
    const held = this.#open && !this.#ended && this.hasRef() && (this.#receivers.length > 0 || hears);
    if (held === this.#held || !process.channel) return;
    this.#held = held;
    for (const _ of EVENTS) {
      if (held) process.channel.refCounted();
      else process.channel.unrefCounted();
    }
  }

  #deliver() {
    let message;
    try {
      while (this.#waiting.length > 0) {
        message = this.#waiting.shift();
        this.#give(message);
        message = undefined;
      }
    } finally {
      // A listener has thrown: the others are for later.
      if (message !== undefined) process.nextTick(() => this[kArrange]());
    }
  }

  #give(message) {
    this.emit('message', message.value, message);
  }

  #arrived(message) {
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver.resolve(message);
    else if (this.#waiting.length === 0 && this.listenerCount('message') > 0) this.#give(message);
    else this.#waiting.push(message);
    if (receiver !== undefined) this[kArrange]();
  }

  #end() {
    if (this.#ended) return;
    this.#ended = true;
    process.removeListener('message', this.#came);
    process.removeListener('disconnect', this.#left);
    this.#receivers.refuse(closedError());
    this.#tellClose();
  }

  /** Once, when everything that came was taken. */
  #tellClose() {
    if (!this.#ended || this.#isTold || this.#waiting.length > 0) return;
    this.#isTold = true;
    process.nextTick(() => this.emit('close'));
  }

  /** Sends a value; false when it waits here until the other side has read: then 'drain' follows. The callback is told when it has left. */
  send(value, options, callback) {
    if (typeof options === 'function') [callback, options] = [options, undefined];
    const { codec, buffers, fds } = options === undefined || options === null ? {} : beside(options);
    if (callback !== undefined) check.callable(callback, 'callback');
    if (codec !== undefined && codec.number !== JSON_CODEC) throw refused('send', 'Node\'s wire carries JSON only');
    if (buffers?.length > 0) throw refused('send', 'Node\'s wire has no place for buffers');
    if (fds?.length > 0) throw refused('send', 'a handle goes by process.send(message, handle) on Node\'s wire');
    if (typeof value?.cmd === 'string' && value.cmd.length > RESERVED.length && value.cmd.startsWith(RESERVED)) {
      throw nodeError('ERR_INVALID_ARG_VALUE', 'value', value, 'has a reserved cmd: names that start with NODE_ belong to Node');
    }
    this.#check();
    if (!process.connected) return this.#fail(callback);
    this.#unwritten++;
    const room = process.send(value, undefined, undefined, (error) => {
      this.#unwritten--;
      callback?.(error ? closedError() : null);
      if (!this.#open && this.#unwritten === 0) this.#leave();
      else if (this.#isFull && this.#unwritten === 0) {
        this.#isFull = false;
        this.emit('drain');
      }
    });
    if (!room) this.#isFull = true;
    return room;
  }

  #fail(callback) {
    if (callback === undefined) throw closedError();
    process.nextTick(callback, closedError());
    return false;
  }

  [kNext](limits) {
    if (limits.signal?.aborted) throw new AbortError(limits.signal.reason);
    const message = this.#waiting.shift();
    this.#tellClose();
    if (message !== undefined) return message;
    this.#check();
    if (this.#ended) throw closedError();
    return this.#receivers.next(limits);
  }

  async call() {
    throw refused('call', 'Node\'s wire carries messages, not calls');
  }

  callStream() {
    throw refused('callStream', 'Node\'s wire carries messages, not calls');
  }

  async serve() {
    throw refused('serve', 'Node\'s wire carries messages, not calls');
  }

  detach() {
    throw refused('detach', 'the channel belongs to Node');
  }

  /** Disconnects once everything that `send` has taken is written: Node drops what is not. */
  close() {
    if (!this.#open) return;
    this.#open = false;
    this[kArrange]();
    if (this.#unwritten === 0) this.#leave();
  }

  #leave() {
    this.#waiting.length = 0;
    if (process.connected) process.disconnect();
    this.#end();
  }
}

module.exports = { ProcessChannel, isThere };

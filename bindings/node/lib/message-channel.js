'use strict';

// Channel: messages, buffers and descriptors to and from another process of any of the four languages.

const { hub, guarded, newId } = require('./hub.js');
const { nodeError, AbortError, ProcsError, isFailure, fromFailure, unwrap } = require('./errors.js');
const { beside, decode, NAMES, Message } = require('./message-codecs.js');
const calls = require('./message-calls.js');
const { MessageEnd, closedError, kArrange, kNext, kIsOpen } = require('./message-end.js');
const { Outbox } = require('./outbox.js');
const { Receivers, waitOptions } = require('./receivers.js');
const { settings } = require('./message-settings.js');
const native = require('./native.js');
const slab = require('./slab.js');
const { BYTES, TEXTS, WHOLE, END } = require('./told.js');
const check = require('./validate.js');
const { received } = require('./young.js');

/** Messages that are kept while nobody asks for them; the rest waits on the other side. */
const READ_AHEAD = 64;
const ENDED = 2;
const MORE = 1;
const NO_FDS = Object.freeze([]);
const NOTHING_BESIDE = Object.freeze({});
const kOwn = Symbol('kOwn');
/** What became of a message that nobody is there for any more. */
const GONE = Symbol('gone');

/** Closes channels that nobody refers to any more. */
const collected = new FinalizationRegistry((id) => hub.closeChannel(id));

/** One end of a channel. Events: 'message' (value, message), 'drain', 'close', 'error'. */
class Channel extends MessageEnd {
  #id;
  #codec;
  #open = true;
  #closing = false;
  /** Whether the other side has ended and everything was read. */
  #ended = false;
  #failure = null;
  #held = false;
  #watched = false;
  /** Messages for which nobody has asked yet. */
  #waiting = [];
  /** Listeners are given nothing just now. */
  #deaf = false;
  /** Calls of `recv` that wait for a message. */
  #receivers = new Receivers(() => this[kArrange]());
  #handler = null;
  #served = null;
  #outbox;

  /** With `isOver` the other side has ended before it began. */
  constructor(own, id, codec, queueBytes, isOver = false) {
    if (own !== kOwn) throw nodeError('ERR_INVALID_ARG_VALUE', 'channel', own, 'is made by Channel.pair, spawn and parentChannel');
    super();
    this.#id = id;
    this.#codec = codec;
    this.#outbox = new Outbox(id, queueBytes, {
      failed: (error) => { if (error.kind !== 'CLOSED') this.emit('error', error); },
      empty: () => {
        if (this.#closing) this.#shut();
        else this.emit('drain');
      },
    });
    collected.register(this, id, this);
    if (isOver) this.#end();
  }

  /** Both ends of a new channel. */
  static pair(options = {}) {
    const { told, codec, queueBytes } = settings(options);
    const other = newId();
    unwrap(hub.channelPair(told, other));
    return [new Channel(kOwn, told.id, codec, queueBytes), new Channel(kOwn, other, codec, queueBytes)];
  }

  /** The end that `detach` gave, of this process or another. The descriptor stays open and the caller's. */
  static fromFd(fd, options = {}) {
    check.int32(fd, 'fd');
    const { told, codec, queueBytes } = settings(options);
    unwrap(hub.channelFromFd(told, fd));
    return new Channel(kOwn, told.id, codec, queueBytes);
  }

  /** Gives an unused end up as a descriptor, which is the caller's. */
  detach() {
    this.#check();
    const fd = unwrap(hub.channelDetach(this.#id));
    this.#finish();
    return fd;
  }

  get codec() {
    return NAMES[this.#codec.number];
  }

  /** The descriptor that is readable while something can be received; -1 when closed. */
  get fd() {
    return this.#open ? hub.channelFd(this.#id) : -1;
  }

  /** Whether either side has closed. */
  get closed() {
    return !this.#open || this.#ended || hub.channelClosed(this.#id);
  }

  /** Messages that wait until the other side reads. */
  get queuedMessages() {
    return this.#outbox.length;
  }

  [kIsOpen]() {
    return this.#open;
  }

  #check() {
    if (!this.#open || this.#closing) throw new ProcsError('channel: it was closed', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
  }

  /** Whether somebody wants what comes: then the event loop stays alive. */
  get #wanted() {
    return this.#receivers.length > 0 || this.#handler !== null || this.listenerCount('message') > 0;
  }

  /** Watches and holds the loop as far as somebody wants what comes, and gives what has come. */
  [kArrange]() {
    if (this.listenerCount('message') > 0) this.#deliver();
    const active = this.#open && !this.#ended;
    const watched = active && (this.#wanted || (this.listenerCount('close') > 0 && this.#waiting.length < READ_AHEAD));
    if (watched !== this.#watched) {
      this.#watched = watched;
      // Only while it is watched something outside refers to it.
      const failure = watched ? this.#watch() : hub.channelUnwatch(this.#id);
      if (isFailure(failure)) this.#fail(fromFailure(failure));
    }
    const held = active && this.#wanted && this.hasRef();
    if (held !== this.#held) {
      this.#held = held;
      if (held) hub.hold();
      else hub.letGo();
    }
  }

  #deliver() {
    let message;
    try {
      while (this.#open && this.#waiting.length > 0 && this.listenerCount('message') > 0) {
        message = this.#waiting.shift();
        this.emit('message', message.value, message);
        message = undefined;
      }
    } finally {
      // A listener has thrown: the others are for later.
      if (message !== undefined) process.nextTick(() => this[kArrange]());
    }
    if (this.#ended && this.#waiting.length === 0) this.#closeAfterEnd();
  }

  #closeAfterEnd() {
    if (this.#open) process.nextTick(() => this.#shut());
  }

  #watch() {
    return hub.channelWatch(this.#id, guarded((kind, first, at, codec, text) => this.#came(kind, first, at, codec, text)), false);
  }

  /** What has come. True when no more is wanted for now. */
  #came(kind, first, at, codec, text) {
    if (kind === BYTES) {
      this.#arrivedAll(codec, slab.bytesOf(first, at));
    } else if (kind === TEXTS) {
      this.#arrivedAll(codec, slab.textsOf(first, at, text));
    } else if (kind === WHOLE) {
      if (first[2] === null && first[3] === null) slab.missed(first[1]);
      this.#arrivedWhole(first, 0);
    } else if (kind === END) {
      if (first[0] !== undefined) this.#fail(fromFailure(first[0]));
      else this.#end();
    }
    if (this.#handler !== null) this.#serve();
    // Nothing to change while a listener takes everything.
    if (this.#open && !(this.#watched && this.#waiting.length === 0 && this.listenerCount('message') > 0)) this[kArrange]();
    return this.#waiting.length >= READ_AHEAD && !this.#wanted;
  }

  /** Answers what is asked. */
  #serve() {
    while (this.#open && calls.serveAll(this.#id, this.#handler, this.#codec, this.#outbox)) { /* Until nothing is. */ }
  }

  /** Reads and answers all that has come. */
  #readAll() {
    while (this.#open && this.#receive()) { /* Until nothing has. */ }
    this.#serve();
    if (this.#open) this[kArrange]();
  }

  /** Reads a batch; true when there may be more. */
  #receive() {
    const batch = hub.channelReceive(this.#id, false);
    if (batch === null) return false;
    if (isFailure(batch)) {
      this.#fail(fromFailure(batch));
      return false;
    }
    this.#arrivedWhole(batch, 1);
    const [state] = batch;
    if (isFailure(state)) this.#fail(fromFailure(state));
    else if (state === ENDED) this.#end();
    return state === MORE && (this.#wanted || this.#waiting.length < READ_AHEAD);
  }

  /** Messages that are nothing but a body. */
  #arrivedAll(codec, bodies) {
    if (bodies.length === 1) this.#arrived(codec, bodies[0], null, null);
    else this.#each(bodies.length, (index) => this.#arrived(codec, bodies[index], null, null));
  }

  /** Messages of four values each, from a place on. */
  #arrivedWhole(values, from) {
    this.#each((values.length - from) / 4, (index) => {
      const at = from + 4 * index;
      received(values[at + 1]);
      this.#arrived(values[at], values[at + 1], values[at + 2], values[at + 3]);
    });
  }

  /** Calls `arrived` for each of so many messages, also when a listener throws: the others are then for those who come after. */
  #each(count, arrived) {
    let next = 0;
    try {
      while (next < count) arrived(next++);
    } finally {
      if (next < count) {
        this.#deaf = true;
        while (next < count) arrived(next++);
        this.#deaf = false;
        process.nextTick(() => this[kArrange]());
      }
    }
  }

  #arrived(codec, body, buffers, fds) {
    if (!this.#open) {
      // A handler closed the channel: what came with the same batch is nobody's.
      for (const fd of fds ?? NO_FDS) native.closeFd(fd);
      return;
    }
    const message = this.#read(codec, body, buffers, fds);
    if (message !== undefined && !this.#deaf && this.#receivers.length === 0 && this.#waiting.length === 0 && this.listenerCount('message') > 0) {
      this.emit('message', message.value, message);
    } else {
      this.#keep(message);
    }
  }

  /** The message, or undefined when its body is nothing. */
  #read(codec, body, buffers, fds) {
    try {
      return new Message(decode(codec, body), codec, body, buffers, fds);
    } catch (error) {
      this.#complain(error);
      return undefined;
    }
  }

  /** For whoever waits, or will ask. */
  #keep(message) {
    if (message === undefined) return;
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver.resolve(message);
    else this.#waiting.push(message);
  }

  /** A message that cannot be had: whoever waits for one is told, else the listeners. */
  #complain(error) {
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver.reject(error);
    else process.nextTick(() => this.emit('error', error));
  }

  #fail(error) {
    this.#failure = error;
    if (this.#receivers.length === 0) process.nextTick(() => this.emit('error', error));
    this.#end();
  }

  /** Nothing comes any more. */
  #end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#receivers.refuse(this.#failure ?? closedError());
    this.#served?.resolve();
    this[kArrange]();
    if (this.#waiting.length === 0) this.#closeAfterEnd();
  }

  /** Sends a value; false when it waits here until the other side has read: then 'drain' follows. The callback is told when it has left. */
  send(value, options, callback) {
    if (typeof options === 'function') [callback, options] = [options, undefined];
    const { codec = this.#codec, buffers, fds } = options === undefined || options === null ? NOTHING_BESIDE : beside(options);
    if (callback !== undefined) check.callable(callback, 'callback');
    this.#check();
    const sent = this.#ended ? GONE : this.#outbox.send(codec.number, codec.encode(value), buffers, fds, callback);
    if (typeof sent === 'boolean') return sent;
    const error = sent === GONE ? closedError() : fromFailure(sent);
    if (error.kind !== 'CLOSED' || callback === undefined) throw error;
    process.nextTick(callback, error);
    return false;
  }

  [kNext](limits) {
    if (limits.signal?.aborted) throw new AbortError(limits.signal.reason);
    if (this.#waiting.length > 0) {
      const message = this.#waiting.shift();
      if (this.#ended && this.#waiting.length === 0) this.#closeAfterEnd();
      return message;
    }
    if (this.#ended) throw this.#failure ?? closedError();
    this.#check();
    return this.#receivers.next(limits);
  }

  /** Asks the other side, which serves; the promise of its reply. With `{message: true}` all of the reply. */
  async call(value, options = {}) {
    const limits = waitOptions(options);
    const { call, sending } = this.#ask(value, options, false);
    return this.#converter(options)(await calls.reply(call, sending, limits));
  }

  /** Asks for several replies: an async iterator over them. */
  callStream(value, options = {}) {
    const { signal } = waitOptions(options);
    const { call, sending } = this.#ask(value, options, true);
    // Somebody may never look at the iterator.
    sending?.catch(() => {});
    return calls.replies(call, sending, signal, this.#converter(options));
  }

  #ask(value, options, parts) {
    this.#check();
    if (this.#ended) throw closedError();
    if (options.signal?.aborted) throw new AbortError(options.signal.reason);
    const { codec = this.#codec, ...rest } = beside(options);
    return this.#outbox.call(codec.number, codec.encode(value), rest, parts);
  }

  /** What becomes of the values of a reply. */
  #converter(options) {
    return ([codec, body, buffers, fds]) => {
      const value = decode(codec, body);
      return options.message ? new Message(value, codec, body, buffers, fds) : value;
    };
  }

  /** Answers the calls of the other side with what `handler(value, request)` returns; resolves at the end of the channel. */
  serve(handler) {
    check.callable(handler, 'handler');
    this.#check();
    if (this.#handler !== null) throw new ProcsError('channel.serve: it serves already', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
    this.#handler = handler;
    let served;
    const promise = new Promise((resolve) => { served = { resolve }; });
    this.#served = served;
    hub.channelServe(this.#id);
    if (this.#ended) served.resolve();
    else this.#readAll();
    return promise;
  }

  /** Closes this end once everything that `send` has taken is on its way; 'close' follows. */
  close() {
    if (!this.#open || this.#closing) return;
    this.#closing = true;
    if (this.#outbox.length === 0) this.#shut();
  }

  #shut() {
    if (!this.#open) return;
    hub.closeChannel(this.#id);
    this.#finish();
  }

  #finish() {
    this.#open = false;
    this.#watched = false;
    collected.unregister(this);
    this.#end();
    this[kArrange]();
    process.nextTick(() => this.emit('close'));
  }
}

/** The settings of a channel that the option `channel` of a start asks for. */
function wanted(channel) {
  return settings(channel === true ? {} : channel, newId(), 'options.channel');
}

/** The end of a channel that a start has made, or would have if it had not failed: then nobody is at the other. */
function made({ told, codec, queueBytes }, isOver) {
  return new Channel(kOwn, told.id, codec, queueBytes, isOver);
}

module.exports = { Channel, wanted, made };

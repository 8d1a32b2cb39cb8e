'use strict';

// Node's channel on a child: send, disconnect, 'message', 'disconnect', handles and their acknowledgement. The bytes are the core's.

const { hub } = require('./hub.js');
const { encodings } = require('./encodings.js');
const { nodeError, errnoError, fromFailure, isFailure } = require('./errors.js');
const handles = require('./handles.js');
const native = require('./native.js');
const { Internal, isAnswer, isInternal, isMessage } = require('./node-messages.js');
const { ASK, SWITCHED } = require('./offer.js');
const { MORE, ENDED } = require('./wires.js');

/** How often a handle is sent again when it did not arrive. */
const RETRANSMISSIONS = 3;
/** From this many unwritten bytes on `send` says false. */
const HIGH_WATER = 128 * 1024;
const EPIPE = 32;
const NO_OPTIONS = Object.freeze({ __proto__: null, swallowErrors: undefined });
/** What becomes of a message when the channel has ended. */
const GONE = Object.freeze({ failed: true, code: 'EPIPE', errno: EPIPE });
const ignore = () => {};

/** Calls back once a message has left, of which so many bytes wait. */
function tellLater(callback, wire, queued) {
  if (wire.batch !== null) process.nextTick(tellSent, callback, wire, wire.batch);
  else if (queued === 0) process.nextTick(callback, null);
  else wire.whenWritten(() => process.nextTick(callback, null));
}

/** The callback of a message that left together with others. */
function tellSent(callback, wire, batch) {
  if (batch.left === 0) callback(null);
  else if (batch.left < 0) callback(errnoError(-EPIPE, 'write'));
  else wire.whenWritten(() => process.nextTick(callback, null));
}

class Channel {
  #target;
  #encode;
  #decode;
  /** The wire that messages leave by, and the one they come by; two only while a child changes over. */
  #out;
  #in;
  /** What becomes of the wish of a child for the native wire. */
  #upgrade;
  #open = true;
  #closes;
  /** Descriptors that came and whose message has not. */
  #arrived = [];
  /** Messages that wait until a handle was acknowledged; null while none is on its way. */
  #queue = null;
  /** A connection that was sent and is closed here once it has arrived. */
  #unanswered = null;
  /** Messages that have come, and how many of them were given to listeners. */
  #came = [];
  #given = 0;
  /** Messages for which nobody listens yet. */
  #pending = [];
  referenced = false;
  sockets = { got: {}, send: {} };

  /** Over the wire that `makeWire(channel)` makes. `upgrade` as `Offer` of lib/upgrade.js, or null. */
  constructor(target, makeWire, serialization, { closes, upgrade }) {
    this.#target = target;
    this.#closes = closes;
    this.#upgrade = upgrade;
    ({ encode: this.#encode, decode: this.#decode } = encodings[serialization]);
    this.#in = this.#out = makeWire(this);
    target.on('newListener', () => process.nextTick(() => this.#deliverPending()));
  }

  get fd() {
    return this.#open ? this.#in.fd : undefined;
  }

  /** What both directions speak by now: 'node' or 'native'. */
  get wire() {
    return this.#in.name;
  }

  reference(on) {
    if (!this.#open || on === this.referenced) return;
    this.referenced = on;
    if (on) hub.hold();
    else hub.letGo();
  }

  /** One message has come, and nothing else. Called, as `someCame`, in the context of the start. */
  oneCame(wire, body, isText) {
    if (this.#came.length > 0 || this.#in !== wire) {
      this.#oneMore(wire, body, isText);
      return;
    }
    if (!this.#open) return;
    let message = body;
    if (!isText) {
      try {
        message = this.#decode(body);
      } catch (error) {
        this.#undecodable(error);
        return;
      }
      if (typeof message === 'object' && isInternal(message)) {
        this.#internal(message, wire);
        this.#giveOrRead(wire);
        return;
      }
    }
    const target = this.#target;
    if (target.listenerCount('message') > 0) target.emit('message', message, undefined);
    else this.#pending.push(['message', message, undefined]);
  }

  /** A message after others that have not been given yet, or from a wire that nothing comes by any more. */
  #oneMore(wire, body, isText) {
    this.#received(body, wire, isText);
    this.#giveOrRead(wire);
  }

  #giveOrRead(wire) {
    if (this.#in === wire) this.#give();
    else this.#readAll(false, null);
  }

  /** Several messages have come, and nothing else. */
  manyCame(wire, bodies) {
    let next = 0;
    // What their listeners send leaves together.
    if (this.#open && bodies.length > 0) this.#out.gather();
    try {
      while (next < bodies.length) this.oneCame(wire, bodies[next++], false);
    } finally {
      // A listener has thrown: the others are for later.
      if (next < bodies.length) this.#keep(wire, bodies.slice(next));
    }
  }

  #keep(wire, bodies) {
    for (const body of bodies) this.#received(body, wire, false);
    process.nextTick(() => this.#give());
  }

  /** Something has come, and `came` is what was read of it, if it was. */
  someCame(came) {
    this.#readAll(false, came);
  }

  /** Reads everything, when nobody will tell of what is left. True when there was something, the end included. */
  readRest() {
    return this.#readAll(true, null);
  }

  #readAll(all, came) {
    let count = 0;
    let over = false;
    if (all && this.#open) this.#in.lookForEnd();
    while (this.#open) {
      const wire = this.#in;
      const before = count;
      const state = wire.read((body, fds, isText) => {
        for (const fd of fds) this.#arrived.push(fd);
        if (body === undefined) return;
        count++;
        this.#received(body, wire, isText);
      }, came);
      came = null;
      if (this.#in !== wire) continue;
      if (state === ENDED) {
        // As in Node, whoever is given the last messages still has a channel.
        if (count > 0) process.nextTick(() => { if (this.#open) this.#end(); });
        else this.#end();
        over = true;
        break;
      } else if (state !== MORE && !(all && count > before)) {
        break;
      }
    }
    if (count > 1 && this.#open) this.#out.gather();
    if (!all) this.#give();
    else if (this.#came.length > 0) process.nextTick(() => this.#give());
    return over || count > 0;
  }

  /** Gives the listeners what has come for them, in order. */
  #give() {
    const came = this.#came;
    try {
      while (came.length > this.#given) {
        const message = came[this.#given++];
        if (message instanceof Internal) this.#target.emit('internalMessage', message.message);
        else this.#emit('message', message, undefined);
      }
    } finally {
      if (came.length > this.#given) {
        // A listener has thrown: the others are for later.
        process.nextTick(() => this.#give());
      } else {
        came.length = this.#given = 0;
      }
    }
  }

  /** Lets everything leave that was sent. */
  flush() {
    if (this.#open) this.#out.uncork();
  }

  #received(body, wire, isText) {
    if (!this.#open) return;
    if (isText) {
      this.#came.push(body);
      return;
    }
    let message;
    try {
      message = this.#decode(body);
    } catch (error) {
      this.#undecodable(error);
      return;
    }
    if (isInternal(message)) this.#internal(message, wire);
    else this.#came.push(message);
  }

  /** Whoever sends such a thing is no child of Node: the channel is over, this process is not. */
  #undecodable(error) {
    process.emitWarning(`A child sent what is no message: ${error.message}`, 'ChannelProtocolWarning');
    this.#end();
  }

  #internal(message, wire) {
    switch (message.cmd) {
      case 'NODE_HANDLE':
        return process.nextTick((fd) => this.#handleCame(message, fd, wire), this.#arrived.shift());
      case 'NODE_HANDLE_ACK':
      case 'NODE_HANDLE_NACK':
        return process.nextTick(() => this.#answered(message.cmd === 'NODE_HANDLE_ACK', wire));
      case ASK:
        return process.nextTick(() => this.#offer(message));
      case SWITCHED:
        if (this.#out !== wire) this.#changeOver(wire);
        return this.#upgrade?.done();
      default:
        this.#came.push(new Internal(message));
    }
  }

  /** Everything else that the child has to say comes by the other wire. */
  #changeOver(wire) {
    this.#in = this.#out;
    wire.close();
    if (isFailure(this.#in.watch())) this.#end();
  }

  #hand(event, message, handle) {
    process.nextTick(() => this.#emit(event, message, handle));
  }

  #emit(event, message, handle) {
    if (event === 'internalMessage' || this.#target.listenerCount('message') > 0) this.#target.emit(event, message, handle);
    else this.#pending.push([event, message, handle]);
  }

  #deliverPending() {
    const pending = this.#pending;
    let given;
    try {
      while (pending.length > 0 && this.#target.listenerCount('message') > 0) {
        given = pending.shift();
        this.#target.emit(...given);
        given = undefined;
      }
    } finally {
      // A listener has thrown: the others are for later.
      if (given !== undefined) process.nextTick(() => this.#deliverPending());
    }
  }

  #handleCame(message, fd, wire) {
    // By the wire that brought it: the other side may not look at the other one yet.
    this.#write({ cmd: fd === undefined ? 'NODE_HANDLE_NACK' : 'NODE_HANDLE_ACK' }, -1, undefined, true, wire);
    if (fd === undefined) return;
    handles.attach(message, fd, this.#target, this.sockets, (object) => {
      this.#hand(isInternal(message.msg) ? 'internalMessage' : 'message', message.msg, object);
    });
  }

  /** The child asks for the native wire. From the message that carries its end on everything leaves by that wire. */
  #offer(asked) {
    if (!this.#open || !this.#upgrade?.wanted(asked)) return;
    // A handle is on its way: once it has arrived.
    if (this.#queue !== null || !this.#target.connected) return;
    const wire = this.#upgrade.open(this);
    if (wire === undefined) return;
    const link = this.#out;
    this.#upgrade.send((message, fd) => this.#write(message, fd, undefined, true, link));
    this.#out = wire;
  }

  /** A handle arrived, or its descriptor did not. An answer that nobody awaits is nothing. */
  #answered(arrived, wire) {
    if (wire !== this.#out) {
      this.#upgrade.answered(arrived);
      return;
    }
    if (this.#queue === null) return;
    const queue = this.#queue;
    this.#queue = null;
    const sent = this.#unanswered;
    if (sent !== null && arrived) {
      this.#closeUnanswered();
    } else if (sent !== null && sent.retransmissions++ === RETRANSMISSIONS) {
      this.#closeUnanswered();
      process.emitWarning('Handle did not reach the receiving process correctly', 'SentHandleNotReceivedWarning');
    } else if (sent !== null) {
      this.#queue = [];
      this.#write(sent.message, sent.handle.fd, undefined, true);
    }
    for (const { message, handle, options, callback } of queue) this.send(message, handle, options, callback);
    if (!this.#target.connected && this.#target.channel && this.#queue === null) this.disconnect();
    if (this.#upgrade?.asked) this.#offer(this.#upgrade.asked);
  }

  #closeUnanswered() {
    this.#unanswered?.handle.close();
    this.#unanswered = null;
  }

  /** Sends or queues; whether the caller may go on at once, as it may, too, when nothing takes the message: it hears of that otherwise. */
  send(message, handle, options, callback) {
    if (!isMessage(message)) {
      if (message === undefined) throw nodeError('ERR_MISSING_ARGS', 'message');
      throw nodeError('ERR_INVALID_ARG_TYPE', 'message', ['string', 'object', 'number', 'boolean'], message);
    }
    if (options !== NO_OPTIONS) {
      if (typeof options === 'boolean') options = { swallowErrors: options };
      options ??= NO_OPTIONS;
    }
    if (handle) return this.#sendHandle(message, handle, options, callback);
    if (this.#queue !== null && !isAnswer(message)) return this.#enqueue({ message, handle: null, options, callback });
    const wire = this.#out;
    const queued = this.#open ? wire.sendMessage(message, this.#encode) : GONE;
    if (typeof callback !== 'function' || typeof queued !== 'number') {
      return this.#unfinished(queued, wire, callback, options.swallowErrors) ?? true;
    }
    tellLater(callback, wire, queued);
    return queued < HIGH_WATER;
  }

  #sendHandle(message, handle, options, callback) {
    const wrapped = { cmd: 'NODE_HANDLE', type: handles.typeOf(handle), msg: message };
    if (this.#queue !== null) return this.#enqueue({ message, handle, options, callback });
    const raw = handles.detach(wrapped, handle, options, this.#target, this.sockets);
    // Sent before, or closed: the message goes alone.
    if (raw === undefined) return this.#write(message, -1, callback, options.swallowErrors) ?? true;
    this.#queue = [];
    const taken = wrapped.type === 'net.Socket' && !options.keepOpen;
    if (taken) this.#unanswered = { message: wrapped, handle: raw, retransmissions: 0 };
    const result = this.#write(wrapped, raw.fd, callback, options.swallowErrors);
    if (result === undefined) {
      this.#queue = null;
      if (taken) this.#closeUnanswered();
    }
    return result ?? true;
  }

  #enqueue(entry) {
    this.#queue.push(entry);
    return this.#queue.length === 1;
  }

  /** Undefined when it failed. */
  #write(message, fd, callback, quiet, wire = this.#out) {
    let queued = GONE;
    if (this.#open) queued = fd < 0 ? wire.sendMessage(message, this.#encode) : wire.send(this.#encode(message), fd);
    return this.#unfinished(queued, wire, callback, quiet);
  }

  /** What is left to be done about a message: to tell when it has left, or that it cannot. */
  #unfinished(queued, wire, callback, quiet) {
    if (typeof queued !== 'number') {
      const error = queued.code === 'EPIPE' || queued.errno ? errnoError(-(queued.errno || EPIPE), 'write') : fromFailure(queued);
      if (!quiet) {
        if (typeof callback === 'function') process.nextTick(callback, error);
        else process.nextTick(() => this.#target.emit('error', error));
      }
      return undefined;
    }
    if (typeof callback === 'function') tellLater(callback, wire, queued);
    else if (wire.batch === null) { if (queued !== 0) wire.whenWritten(ignore); }
    else if (!quiet) wire.batch.unheard++;
    return queued < HIGH_WATER;
  }

  /** As many messages without a callback could not leave. */
  unsent(count) {
    for (; count > 0; count--) process.nextTick(() => this.#target.emit('error', errnoError(-EPIPE, 'write')));
  }

  /** Whether a handle is on its way, so that a disconnect has to wait. */
  get isBusy() {
    return this.#queue !== null;
  }

  #close() {
    if (!this.#open) return false;
    this.reference(false);
    this.#open = false;
    this.#in.close();
    if (this.#out !== this.#in) this.#out.close();
    this.#upgrade?.done();
    for (const fd of this.#arrived.splice(0)) native.closeFd(fd);
    return true;
  }

  /** Ends the channel from this side. */
  disconnect() {
    const target = this.#target;
    target.channel = null;
    this.#closeUnanswered();
    process.nextTick(() => {
      if (this.#close()) target.emit('disconnect');
    });
  }

  /** The other side has ended it. */
  #end() {
    const target = this.#target;
    const was = target.channel;
    target.connected = false;
    target.channel = null;
    this.#queue = null;
    this.#closeUnanswered();
    this.#close();
    if (was) process.nextTick(() => target.emit('disconnect'));
    this.#closes();
  }
}

module.exports = { Channel, NO_OPTIONS };

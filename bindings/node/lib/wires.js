'use strict';

// The two ways that messages of Node's channel travel: Node's own socket, and the native channel that replaces it where both ends can.
// A wire is `sendMessage(message, encode)` and `send(body, fd)` (bytes that wait, or a failure), `read(take, came)` (`take(body, fds, isText)` for each message; what follows), `whenWritten`,
// `fd` and `close`. Its target is given a message that has come alone (`oneCame(wire, body, isText)`), or several and nothing else
// (`manyCame(wire, bodies)`); otherwise it has to read, and is given what was read already, or null (`someCame(came)`).

const { hub, quick, answer, guarded } = require('./hub.js');
const { isFailure, fromFailure } = require('./errors.js');
const slab = require('./slab.js');
const { shapeOf } = require('./texts.js');
const { TEXTS, WHOLE, END } = require('./told.js');
const { received } = require('./young.js');
const { Outbox } = require('./outbox.js');

/** What follows a batch: nothing now, more at once, nothing ever. */
const NOTHING = 0;
const MORE = 1;
const ENDED = 2;

/** Bytes of the length before a message in V8's encoding. */
const LENGTH_BYTES = 4;

/** Numbers of the codecs of a native channel. */
const CODECS = { raw: 0, json: 1, advanced: 3 };
/** Bytes that wait for the other side to read; Node's own channel has no bound either. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

const NO_FDS = Object.freeze([]);

/**
 * While handlers of several messages run, what they send leaves together: its system call is most of what a small message costs. It is written
 * before their ticks, and again before those of what they have left to promises; `NodeLink::cork` says by when at the latest.
 */
const turn = { open: false, wires: [] };

function release() {
  turn.open = false;
  for (const wire of turn.wires.splice(0)) wire.uncork();
}

function gather() {
  if (turn.open) return;
  turn.open = true;
  process.nextTick(release);
}

/** Messages that leave together. */
class Batch {
  /** Bytes that were not written at once, a negative number when the other side is gone. */
  left = 0;
  /** Messages whose failure the channel's listeners are to hear of. */
  unheard = 0;
}

class NodeWire {
  #id;
  #target;
  /** What waits for the end of the turn. */
  batch = null;
  name = 'node';

  constructor(id, target) {
    this.#id = id;
    this.#target = target;
    const failure = hub.linkWatch(id, guarded((came, many) => {
      if (many === undefined) target.oneCame(this, typeof came === 'string' ? came : came.subarray(LENGTH_BYTES), false);
      else if (Array.isArray(came)) target.someCame(came);
      else target.manyCame(this, bodiesOf(came));
    }));
    if (isFailure(failure)) throw fromFailure(failure);
  }

  /** What is sent in this turn of the loop leaves together. */
  gather() {
    if (turn.open) return;
    gather();
    queueMicrotask(gather);
  }

  uncork() {
    const { batch } = this;
    if (batch === null) return;
    this.batch = null;
    batch.left = hub.linkUncork(this.#id);
    if (batch.left < 0 && batch.unheard > 0) this.#target.unsent(batch.unheard);
  }

  // The socket tells itself.
  lookForEnd() {}

  /** A message without a descriptor. */
  sendMessage(message, encode) {
    const body = encode(message);
    if (turn.open && this.batch === null) this.#cork();
    return typeof body === 'string' ? quick.linkSendText(this.#id, body) : quick.linkSendBytes(this.#id, body);
  }

  send(body, fd) {
    if (turn.open && this.batch === null) this.#cork();
    return typeof body === 'string' ? quick.linkSendText(this.#id, body, fd) : quick.linkSendBytes(this.#id, body, fd);
  }

  #cork() {
    this.batch = new Batch();
    turn.wires.push(this);
    hub.linkCork(this.#id);
  }

  /** Reads, unless something is given that has been. */
  read(take, came) {
    came ??= hub.linkFrames(this.#id);
    if (came === null) return NOTHING;
    const [frames, fds, next] = Array.isArray(came) ? came : [came, NO_FDS, NOTHING];
    if (fds.length > 0) take(undefined, fds, false);
    if (frames !== null) for (const body of bodiesOf(frames)) take(body, NO_FDS, false);
    return next;
  }

  whenWritten(callback) {
    // Unwritten bytes keep the loop alive, as in Node.
    answer((event) => hub.linkWritten(this.#id, event), () => null).then(callback);
  }

  get fd() {
    return hub.linkFd(this.#id);
  }

  close() {
    hub.closeLink(this.#id);
  }
}

/** The bodies of messages that came in one piece: lines, or bytes with their length before them. */
function bodiesOf(frames) {
  if (typeof frames === 'string') {
    const lines = frames.split('\n');
    lines.pop(); // after the last line feed
    return lines;
  }
  const bodies = [];
  for (let from = 0; from < frames.length;) {
    const begin = from + LENGTH_BYTES;
    from = begin + frames.readUInt32BE(from);
    bodies.push(frames.subarray(begin, from));
  }
  return bodies;
}

class NativeWire {
  #id;
  #target;
  #codec;
  #latin1;
  #outbox;
  #callbacks = [];
  batch = null;
  name = 'native';

  /** Of the open channel `id`, whose other side may take texts in Latin-1. */
  constructor(id, { serialization, latin1 }, target) {
    this.#id = id;
    this.#target = target;
    this.#codec = CODECS[serialization];
    this.#latin1 = latin1 === true;
    this.#outbox = new Outbox(id, NO_LIMIT, { failed() {}, empty: () => { for (const callback of this.#callbacks.splice(0)) callback(); } });
  }

  /** What the native module is told of such a channel. */
  static settings(id) {
    return { __proto__: null, id, codecs: 1 << CODECS.raw | 1 << CODECS.json | 1 << CODECS.advanced };
  }

  // Nothing is to be gained here: a message costs no system call while the other side is awake.
  gather() {}

  uncork() {}

  lookForEnd() {
    hub.channelLookForEnd(this.#id);
  }

  watch() {
    return hub.channelWatch(this.#id, guarded((kind, first, at, codec, text) => this.#came(kind, first, at, codec, text)), true);
  }

  #came(kind, first, at, codec, text) {
    if (kind === TEXTS && first === 1) this.#target.oneCame(this, text, codec === CODECS.raw);
    else if (kind === TEXTS) this.#target.someCame({ state: NOTHING, texts: slab.textsOf(first, at, text), isText: codec === CODECS.raw });
    else if (kind === WHOLE) this.#some(first);
    else if (kind === END) this.#target.someCame([ENDED]);
  }

  #some(values) {
    for (let at = 1; at < values.length; at += 4) received(values[at]);
    this.#target.someCame([NOTHING, ...values]);
  }

  /** As that of `NodeWire`. A text is its own encoding where every other could only make it longer. */
  sendMessage(message, encode) {
    if (typeof message !== 'string') return this.send(encode(message), -1);
    const sent = this.#outbox.length === 0 ? quick.channelSendPlain(this.#id, message, shapeOf(message), this.#latin1) : null;
    if (sent === true) return 0;
    return typeof sent === 'object' && sent !== null ? sent : this.send(encode(message), -1);
  }

  send(body, fd) {
    const sent = this.#outbox.send(this.#codec, body, undefined, fd < 0 ? undefined : [fd]);
    return typeof sent === 'boolean' ? this.#outbox.bytes : sent;
  }

  /** As that of `NodeWire`. */
  read(take, came) {
    const batch = came ?? hub.channelReceive(this.#id, true);
    if (batch === null) return NOTHING;
    if (isFailure(batch)) return ENDED;
    if (batch.texts !== undefined) {
      for (const text of batch.texts) take(text, NO_FDS, batch.isText);
      return NOTHING;
    }
    for (let at = 1; at < batch.length; at += 4) take(batch[at + 1], batch[at + 3] ?? NO_FDS, batch[at] === CODECS.raw);
    // A failure ends the channel, as the end does.
    return typeof batch[0] === 'number' ? batch[0] : ENDED;
  }

  whenWritten(callback) {
    this.#callbacks.push(callback);
  }

  get fd() {
    return hub.channelFd(this.#id);
  }

  close() {
    // What waits keeps the channel until it has left.
    if (this.#outbox.length === 0) hub.closeChannel(this.#id);
    else this.#callbacks.push(() => hub.closeChannel(this.#id));
  }
}

module.exports = { NodeWire, NativeWire, MORE, ENDED };

'use strict';

// Arenas: blocks of shared memory that are lent to other processes without a copy.

const native = require('./native.js');
const { nodeError, unwrap } = require('./errors.js');
const check = require('./validate.js');

const MAX_BYTES = 2 ** 30;
const kOwn = Symbol('kOwn');

function whole(value, name) {
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (!Number.isSafeInteger(value) || value < 0) throw nodeError('ERR_OUT_OF_RANGE', name, 'a whole number from 0', value);
  return value;
}

/** A block, as this process has it. Given back by `release`, or once neither it nor its `buffer` is referred to any more. */
class Block {
  #core;
  #view;
  #buffer;

  constructor(own, core, view) {
    if (own !== kOwn) throw nodeError('ERR_INVALID_ARG_VALUE', 'block', own, 'is made by Arena.alloc and Arena.attach');
    this.#core = core;
    this.#view = view;
    [, , , this.length] = unwrap(core.place());
  }

  /** Where it is: what the process that `attach`es it is told. */
  get place() {
    const [segment, serial, offset, length] = unwrap(this.#core.place());
    return { segment, serial, offset, length };
  }

  /** The bytes themselves; a copy of them where the runtime refuses memory that is not its own. */
  get buffer() {
    if (this.#buffer === undefined) {
      const { segment, offset, length } = this.place;
      const memory = this.#view(segment, this.#core);
      const buffer = memory === null ? unwrap(this.#core.read(0, length)) : Buffer.from(memory, offset, length);
      // Whoever holds the bytes holds the block.
      Object.defineProperty(buffer, kOwn, { value: this.#core });
      this.#buffer = buffer;
    }
    return this.#buffer;
  }

  /** Copies bytes out. */
  read(offset = 0, length = this.length - offset) {
    return unwrap(this.#core.read(whole(offset, 'offset'), whole(length, 'length')));
  }

  /** Copies bytes in; only in the process that made the arena, and only until the block is lent. */
  write(bytes, offset = 0) {
    if (!(bytes instanceof Uint8Array)) throw nodeError('ERR_INVALID_ARG_TYPE', 'bytes', ['Buffer', 'Uint8Array'], bytes);
    unwrap(this.#core.write(whole(offset, 'offset'), bytes));
  }

  /** Lends it to the process with this seat, which must attach the place that this gives exactly once. Nobody writes to it from then on. */
  lend(seat) {
    unwrap(this.#core.lend(whole(seat, 'seat')));
    return this.place;
  }

  /** Takes back one loan whose message was not sent. */
  unlend(seat) {
    unwrap(this.#core.unlend(whole(seat, 'seat')));
  }

  /** Gives it back. Its `buffer` must not be used any more: the memory is soon somebody else's. */
  release() {
    this.#core.release();
    this.#buffer = undefined;
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.release();
  }
}

/** Blocks of shared memory: allocated by the process that made the arena, lent to others, used again once everybody has given them back or died. */
class Arena {
  #core;
  /** The ArrayBuffer of each segment: the runtime allows one for a pointer. */
  #memories = [];

  /** With room for `size` bytes at first, which grows up to `maxBytes` (default 1 GiB). */
  constructor(size, options = {}) {
    if (size === kOwn) {
      this.#core = options;
      return;
    }
    if (whole(size, 'size') === 0) throw nodeError('ERR_OUT_OF_RANGE', 'size', 'a whole number from 1', size);
    check.object(options, 'options');
    const { maxBytes = MAX_BYTES, prefault = false, hugePages = false } = options;
    check.boolean(prefault, 'options.prefault');
    check.boolean(hugePages, 'options.hugePages');
    this.#core = unwrap(native.createArena(size, whole(maxBytes, 'options.maxBytes'), prefault, hugePages));
  }

  /** Opens an arena by the descriptor of its first segment, which stays open and the caller's, at the seat that its maker kept. */
  static open(fd, seat) {
    check.int32(fd, 'fd');
    return new Arena(kOwn, unwrap(native.openArena(fd, whole(seat, 'seat'))));
  }

  /** Keeps a seat for a process or thread that will open the arena; its number. */
  seat() {
    return unwrap(this.#core.seat());
  }

  /** A block of `length` bytes, which are what their last user left. */
  alloc(length) {
    return this.#block(unwrap(this.#core.alloc(whole(length, 'length'))));
  }

  /** Takes a block that was lent to this process. */
  attach(place) {
    check.object(place, 'place');
    const { segment, serial, offset, length } = place;
    const numbers = Object.entries({ segment, serial, offset, length }).map(([name, value]) => whole(value, `place.${name}`));
    return this.#block(unwrap(this.#core.attach(...numbers)));
  }

  #block(core) {
    return new Block(kOwn, core, (segment, block) => {
      this.#memories[segment] ??= { memory: this.#core.segmentBuffer(block)?.buffer ?? null };
      return this.#memories[segment].memory;
    });
  }

  /** Segments so far. */
  get segments() {
    return this.#core.segments;
  }

  /** A descriptor of a segment, which is the caller's to give away and to close. */
  segmentFd(segment = 0) {
    return unwrap(this.#core.segmentFd(whole(segment, 'segment')));
  }

  /** Adds the next segment, in a process that opened the arena. The descriptor stays open and the caller's. */
  addSegment(fd) {
    check.int32(fd, 'fd');
    unwrap(this.#core.addSegment(fd));
  }

  /** The seats that are taken, each with the process that opened the arena there, or null. */
  owners() {
    const numbers = unwrap(this.#core.owners());
    return numbers.flatMap((seat, index) => (index % 2 === 0 ? [{ seat, pid: numbers[index + 1] || null }] : []));
  }

  /** Takes back what processes held that are dead, and their seats; how many blocks they had. */
  reclaimDead() {
    return unwrap(this.#core.reclaimDead());
  }

  /** Takes back everything that a seat holds, and the seat; how many blocks it had. */
  reclaim(seat) {
    return unwrap(this.#core.reclaim(whole(seat, 'seat')));
  }

  /** Bytes of blocks in use here or lent. */
  usedBytes() {
    return unwrap(this.#core.usedBytes());
  }
}

module.exports = { Arena, Block };

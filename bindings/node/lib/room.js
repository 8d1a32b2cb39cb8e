'use strict';

// The memory that a child's output is read into. Small reads share it and are copied out. A large stream is read into blocks of the native
// module, which are used again once nobody has their chunks any more; where many chunks are kept, into memory of their own.

const { hub } = require('./hub.js');
const native = require('./native.js');
const { collectYoung } = require('./young.js');

/** Set on a stream of which the one listener for data keeps nothing of a chunk. */
const kSplits = Symbol('kSplits');

/** What a pipe holds as the system makes it: a read of this many bytes has found it full. */
const PIPE_BYTES = 64 * 1024;
const BLOCK = 256 * 1024;
/** Where reading into a block begins: a chunk must not begin where the memory of all blocks does. */
const START = 64;
/** A rest of a block smaller than this is given up. */
const LEAST_ROOM = 64 * 1024;
/** Chunks up to this size are copied out: whoever keeps one would keep the block. */
const SMALL_CHUNK = 16 * 1024;

/** Blocks after which the collector is asked to look for those that nobody uses: 8 MiB, which caches hold. */
const OFTEN = 32;
/** The same where chunks are kept: as much as the collector waits for by itself. */
const SELDOM = 128;

/** The memory of all blocks, once there is a large stream; null where the runtime forbids foreign memory. */
let memory;
let often = OFTEN;
/** Blocks that were wanted, and had, since the collector was asked last. */
let wanted = 0;
let had = 0;

/** The number of a free block, -1 when there is none. */
function takeBlock() {
  if (memory === undefined) memory = hub.blockMemory();
  if (memory === null) return -1;
  if (wanted >= often) {
    // Those of the time before come back soon, unless their chunks are kept: then asking helps little.
    const older = memory.length / BLOCK - hub.blocksFree() - had;
    often = older > 2 * OFTEN ? Math.min(2 * often, SELDOM) : OFTEN;
    wanted = 0;
    had = 0;
    collectYoung();
  }
  const block = hub.blockTake();
  wanted++;
  if (block >= 0) had++;
  return block;
}

/** Room for one stream's reads, one after the other. */
class Room {
  #fd;
  #room = Buffer.allocUnsafeSlow(PIPE_BYTES);
  /** The block that the room is of, and where; none before the stream is large, and when none was free. */
  #block = -1;
  #offset = 0;
  #large = false;
  #grown = false;
  #closed = false;

  constructor(fd) {
    this.#fd = fd;
  }

  /** Room for the next read, undefined when there is none to come. */
  next() {
    if (this.#closed) return undefined;
    if (this.#room === null) this.#advance();
    return this.#room;
  }

  #advance() {
    if (this.#block >= 0) {
      if (BLOCK - this.#offset >= LEAST_ROOM) {
        this.#place();
        return;
      }
      hub.blockDone(this.#block);
    }
    this.#block = takeBlock();
    this.#offset = START;
    if (this.#block >= 0) this.#place();
    else this.#room = Buffer.allocUnsafeSlow(BLOCK);
  }

  #place() {
    const start = this.#block * BLOCK;
    this.#room = memory.subarray(start + this.#offset, start + BLOCK);
  }

  /** The bytes of a read, for whoever does not keep them. */
  lend(count) {
    const bytes = this.#room.subarray(0, count);
    if (!this.#large && count === PIPE_BYTES) {
      this.grow();
      this.#large = true;
      this.#room = Buffer.allocUnsafeSlow(BLOCK);
    }
    return bytes;
  }

  /** The bytes of a read. They are memory of their own, so that their owner may do with it what he likes. */
  take(count) {
    const room = this.#room;
    if (!this.#large && count === PIPE_BYTES) {
      // The read found the pipe full. Before that, a larger one would be wasted, and a user's pipes have a common budget.
      this.grow();
      this.#large = true;
      this.#room = null;
      return room;
    }
    if (this.#block >= 0 && count > SMALL_CHUNK) {
      const chunk = hub.blockChunk(this.#block, this.#offset, count);
      this.#offset += count;
      this.#room = null;
      return chunk;
    }
    if (count < room.length) {
      // Not of the runtime's pool: a stream of bytes that is given a chunk takes its memory away from everybody.
      const own = Buffer.allocUnsafeSlow(count);
      room.copy(own, 0, 0, count);
      return own;
    }
    this.#room = null;
    return room;
  }

  /** Lets the pipe hold more, once. */
  grow() {
    if (this.#grown) return;
    this.#grown = true;
    native.growPipe(this.#fd);
  }

  /** Nothing more is read. */
  close() {
    if (this.#block >= 0) hub.blockDone(this.#block);
    this.#block = -1;
    this.#closed = true;
  }
}

module.exports = { PIPE_BYTES, kSplits, Room };

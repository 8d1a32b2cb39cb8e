'use strict';

// The memory that a child's output is read into. Small reads share it and are copied out. Of a large stream the event loop reads a first piece, and the
// native module what more is there, into blocks that are used again once nobody has their chunks any more; where many chunks are kept, into memory of
// their own. By itself the event loop would call JavaScript for each 64 KiB that a child writes at a time, when the child is about as fast.

const { hub } = require('./hub.js');
const native = require('./native.js');
const { collectYoung } = require('./young.js');

/** Set on a stream of which the one listener for data keeps nothing of a chunk. */
const kSplits = Symbol('kSplits');

/** What a pipe holds as the system makes it: a read of this many bytes has found it full. */
const PIPE_BYTES = 64 * 1024;
/** What the event loop reads of a large stream. Not less: it is copied out if it is all, for whoever keeps a chunk keeps its block. */
const HEAD_BYTES = 16 * 1024;
/** Size of a block of the native module. */
const BLOCK = 1024 * 1024;
/** Memory for a chunk where no block is free, and for chunks that are only lent. */
const OWN_BYTES = 256 * 1024;

/** Bytes after which the collector is asked to look for chunks that nobody uses: caches hold so many. */
const OFTEN = 12 * 1024 * 1024;
/** The same where chunks are kept: as much as the collector waits for by itself. */
const SELDOM = 32 * 1024 * 1024;
/** So many bytes in blocks from before the last look are chunks that are kept. */
const MANY = 12 * 1024 * 1024;

let often = OFTEN;
/** Bytes of chunks since the collector was asked last, and how many of them lie in blocks. */
let given = 0;
let lent = 0;

/** Counts a chunk of a large stream. */
function note(bytes, inBlock) {
  given += bytes;
  if (inBlock) lent += bytes;
  if (given < often) return;
  // Those of the time before come back soon, unless their chunks are kept: then asking helps little.
  often = hub.blocksUsed() * BLOCK - lent > MANY ? Math.min(2 * often, SELDOM) : OFTEN;
  given = 0;
  lent = 0;
  collectYoung();
}

/** Not of the runtime's pool: a stream of bytes that is given a chunk takes its memory away from everybody. */
function copyOf(memory, count) {
  const own = Buffer.allocUnsafeSlow(count);
  memory.copy(own, 0, 0, count);
  return own;
}

/** Room for one stream's reads, one after the other. */
class Room {
  #fd;
  #room = Buffer.allocUnsafeSlow(PIPE_BYTES);
  /** Reads what the event loop has not, once the stream is large and its chunks are not lent. */
  #reader = null;
  #large = false;
  #grown = false;
  #closed = false;

  constructor(fd) {
    this.#fd = fd;
  }

  /** Room for the next read, undefined when there is none to come. */
  next() {
    return this.#closed ? undefined : this.#room;
  }

  /** The bytes of a read, for whoever does not keep them. */
  lend(count) {
    const room = this.#room;
    if (room.length !== OWN_BYTES && (this.#large || count === PIPE_BYTES)) this.#enlarge(OWN_BYTES);
    return room.subarray(0, count);
  }

  /** The bytes of a read, and of a large stream what more there is. They are memory of their own, so that their owner may do with it what he likes. */
  take(count) {
    const room = this.#room;
    if (count === HEAD_BYTES && room.length === HEAD_BYTES) return this.#more();
    if (room.length !== HEAD_BYTES && (this.#large || count === PIPE_BYTES)) {
      this.#reader ??= hub.readBlocks(this.#fd);
      this.#enlarge(HEAD_BYTES);
    }
    return count === room.length ? room : copyOf(room, count);
  }

  /** The read found the pipe full. Before that, a larger one would be wasted, and a user's pipes have a common budget. */
  #enlarge(bytes) {
    this.grow();
    this.#large = true;
    this.#room = Buffer.allocUnsafeSlow(bytes);
  }

  #more() {
    const chunk = this.#reader.read(this.#room);
    if (chunk !== null) {
      note(chunk.length, true);
      return chunk;
    }
    const memory = Buffer.allocUnsafeSlow(OWN_BYTES);
    const count = this.#reader.readInto(this.#room, memory);
    note(count, false);
    return count === OWN_BYTES ? memory : copyOf(memory, count);
  }

  /** Lets the pipe hold more, once. */
  grow() {
    if (this.#grown) return;
    this.#grown = true;
    native.growPipe(this.#fd);
  }

  /** Nothing more is read. */
  close() {
    this.#closed = true;
    this.#reader?.close();
  }
}

module.exports = { PIPE_BYTES, kSplits, Room };

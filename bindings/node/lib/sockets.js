'use strict';

// The host's ends of a child's pipes as streams.

const net = require('node:net');
const native = require('./native.js');
const { PIPE_BYTES, kSplits, Room } = require('./room.js');

/** A stream that was handed to a child is not read here until somebody resumes it: both would take bytes from one description. */
function release(stream) {
  if (typeof stream.pause !== 'function') return;
  if (stream._handle) {
    stream._handle.reading = false;
    stream._handle.readStop?.();
  }
  stream.pause();
  if (stream._readableState) {
    stream._readableState.flowing = false;
    stream._readableState.reading = false;
  }
}

/** Bytes that are enough for one turn of the event loop. */
const TURN = 4 * 1024 * 1024;

const later = () => 0;

/** A child's output. By another name only inside: the runtime's own streams of children are plain sockets. */
const Output = class Socket extends net.Socket {
  #room;
  /** Bytes since it rested. */
  #taken = 0;

  constructor(fd, manualStart) {
    const room = new Room(fd);
    super({
      fd,
      manualStart,
      readable: true,
      writable: false,
      onread: { buffer: () => room.next(), callback: (count) => this.#take(count) },
    });
    this.#room = room;
  }

  #take(count) {
    const room = this.#room;
    const state = this._readableState;
    // Text is a copy; what it was decoded from is nobody's any more.
    if (state.decoder) return this.push(room.lend(count));
    if (this[kSplits] && state.flowing && state.length === 0 && this.listenerCount('data') === 1) {
      state.dataEmitted = true;
      this.emit('data', room.lend(count));
      return true;
    }
    const chunk = room.take(count);
    this.#taken += chunk.length;
    if (this.#taken >= TURN) this.#rest();
    return this.push(chunk);
  }

  /**
   * Reads on when the event loop has done what else there is to do; by itself it would come back here up to 32 times before. Among the rest is memory
   * of chunks that were collected.
   */
  #rest() {
    this.#taken = 0;
    this._handle.readStop();
    this._handle.readStart = later;
    setImmediate(beginReading, this);
  }

  pause() {
    // What is not read now must not hold up the child sooner than a socket pair of child_process does. Lines are taken from small reads faster.
    if (this._handle && !this[kSplits]) this.#room.grow();
    return super.pause();
  }

  _destroy(error, callback) {
    super._destroy(error, callback);
    // The handle is closing: nothing is read into the room any more.
    this.#room.close();
  }
};

/** A child's standard input. As with Output, only inside by another name. */
const Input = class Socket extends net.Socket {
  #fd;

  constructor(fd) {
    super({ fd, readable: false, writable: true });
    this.#fd = fd;
  }

  // Before what does not fit is written; most inputs do, and a user's pipes have a common budget.
  #grow() {
    if (this.#fd >= 0 && this.writableLength > PIPE_BYTES) {
      native.growPipe(this.#fd);
      this.#fd = -1;
    }
  }

  _write(chunk, encoding, callback) {
    this.#grow();
    super._write(chunk, encoding, callback);
  }

  _writev(chunks, callback) {
    this.#grow();
    super._writev(chunks, callback);
  }
};

/** Begins to read a stream that was made to wait, unless it is paused, handed over or gone by now. */
function beginReading(socket) {
  const handle = socket._handle;
  if (handle?.readStart !== later) return;
  delete handle.readStart;
  if (handle.reading) handle.readStart();
}

/** The host's end of a child's pipe: stdin is written, 1 and 2 are read, higher ones are duplex. One that `waits` is read from `beginReading` on. */
function socketFor(fd, index, waits = false) {
  if (index === 0) return new Input(fd);
  const socket = index > 2 ? new net.Socket({ fd, readable: true, writable: true, manualStart: waits }) : new Output(fd, waits);
  if (waits) {
    socket._handle.readStart = later;
    socket.read(0);
  }
  return socket;
}

module.exports = { release, socketFor, beginReading };

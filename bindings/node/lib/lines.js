'use strict';

// lines: the lines of a stream as an async iterator, of any length, split in blocks.

const { StringDecoder } = require('node:string_decoder');
const { nodeError } = require('./errors.js');
const { kSplits } = require('./room.js');
const check = require('./validate.js');

/** Splits chunks into lines and keeps what follows the last line feed. */
class Splitter {
  #decoder;
  #rest = '';
  #stripCr;

  constructor(encoding, stripCr) {
    this.#decoder = new StringDecoder(encoding);
    this.#stripCr = stripCr;
  }

  #clean(lines) {
    if (!this.#stripCr) return lines;
    return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  }

  push(chunk) {
    const text = this.#decoder.write(chunk);
    if (!text.includes('\n')) { // a line longer than the chunk
      this.#rest += text;
      return [];
    }
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    return this.#clean(lines);
  }

  /** The last line, when no line feed ended it. */
  end() {
    const last = this.#rest + this.#decoder.end();
    this.#rest = '';
    return last === '' ? [] : this.#clean([last]);
  }
}

function asBatch(result) {
  return result.done ? result : { value: [result.value], done: false };
}

class Lines {
  #stream;
  #splitter;
  #ready = [];
  #at = 0;
  #waiting = [];
  #waitingBatch = null;
  #ended = false;
  #error = null;

  constructor(stream, splitter) {
    this.#stream = stream;
    this.#splitter = splitter;
    stream[kSplits] = true;
    stream.on('data', (chunk) => this.#take(this.#splitter.push(chunk)));
    stream.once('end', () => {
      this.#take(this.#splitter.end());
      this.#finish(null);
    });
    stream.once('error', (error) => this.#finish(error));
    stream.once('close', () => this.#finish(null));
  }

  #take(lines) {
    if (lines.length === 0) return;
    if (this.#waitingBatch !== null) {
      const { resolve } = this.#waitingBatch;
      this.#waitingBatch = null;
      resolve({ value: lines, done: false });
      this.#stream.pause();
      return;
    }
    this.#ready = this.#at < this.#ready.length ? this.#ready.slice(this.#at).concat(lines) : lines;
    this.#at = 0;
    while (this.#waiting.length > 0 && this.#at < this.#ready.length) {
      this.#waiting.shift().resolve({ value: this.#ready[this.#at++], done: false });
    }
    // Nothing more is read before these are taken: a slow reader slows the child down.
    if (this.#at < this.#ready.length) this.#stream.pause();
  }

  #finish(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error) reject(error);
      else resolve({ value: undefined, done: true });
    }
    if (this.#waitingBatch !== null) {
      const { resolve, reject } = this.#waitingBatch;
      this.#waitingBatch = null;
      if (error) reject(error);
      else resolve({ value: undefined, done: true });
    }
  }

  #nextBatch() {
    if (this.#at < this.#ready.length) {
      const value = this.#at === 0 ? this.#ready : this.#ready.slice(this.#at);
      this.#ready = [];
      this.#at = 0;
      return Promise.resolve({ value, done: false });
    }
    if (this.#ended || this.#waiting.length > 0 || this.#waitingBatch !== null) return this.next().then(asBatch);
    return new Promise((resolve, reject) => {
      this.#waitingBatch = { resolve, reject };
      this.#stream.resume();
    });
  }

  /** The same lines in arrays, as many as one read brought: several times faster for many short lines. */
  batches() {
    return {
      next: () => this.#nextBatch(),
      return: () => this.return(),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  next() {
    if (this.#at < this.#ready.length) return Promise.resolve({ value: this.#ready[this.#at++], done: false });
    if (this.#ended) {
      const error = this.#error;
      this.#error = null;
      return error ? Promise.reject(error) : Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#stream.resume();
    });
  }

  /** Leaving the loop early closes the stream, as Node's own iterators do. */
  return() {
    this.#ready = [];
    this.#at = 0;
    this.#stream.destroy();
    this.#finish(null);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** The lines of a readable stream of bytes, without their line feeds; the last one also when none ends it. */
function lines(stream, options = {}) {
  if (typeof stream?.on !== 'function') throw nodeError('ERR_INVALID_ARG_TYPE', 'stream', 'Readable', stream);
  check.object(options, 'options');
  return new Lines(stream, new Splitter(options.encoding ?? 'utf8', !!options.stripCr));
}

module.exports = { lines };

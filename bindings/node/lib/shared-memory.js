'use strict';

// Memory that processes share: a segment, its ArrayBuffer, and what lives at its offsets.

const native = require('./native.js');
const { nodeError, ProcsError, unwrap } = require('./errors.js');
const locks = require('./shared-locks.js');
const check = require('./validate.js');

const NUMBERS = { u32: false, i32: false, u64: true, i64: true };

function whole(value, name) {
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (!Number.isSafeInteger(value) || value < 0) throw nodeError('ERR_OUT_OF_RANGE', name, 'a whole number from 0', value);
  return value;
}

function integer(value, name) {
  if (typeof value === 'bigint') return value;
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, ['number', 'bigint'], value);
  if (!Number.isInteger(value)) throw nodeError('ERR_OUT_OF_RANGE', name, 'a whole number', value);
  return BigInt(value);
}

/** How something is placed: made, opened, or whichever is needed. */
function how(options) {
  check.object(options, 'options');
  const { create } = options;
  if (create === undefined || create === null) return 0;
  check.boolean(create, 'options.create');
  return create ? 1 : 2;
}

/** A number that all processes read and change atomically; `bigint` for the kinds of 64 bits. Arithmetic wraps around. */
class AtomicCell {
  #memory;
  #kind;
  #offset;

  constructor(memory, kind, offset) {
    this.#memory = memory;
    this.#kind = kind;
    this.#offset = offset;
    this.load();
  }

  #apply(operation, value = 0n, expected = 0n) {
    const result = unwrap(this.#memory().cell(this.#kind, this.#offset, operation, integer(value, 'value'), integer(expected, 'expected')));
    return NUMBERS[this.#kind] ? result : Number(result);
  }

  load() {
    return this.#apply('load');
  }

  store(value) {
    this.#apply('store', value);
  }

  /** Sets the value and gives the one before. */
  swap(value) {
    return this.#apply('swap', value);
  }

  /** Adds and gives the value before. */
  fetchAdd(value = 1) {
    return this.#apply('add', value);
  }

  /** Subtracts and gives the value before. */
  fetchSub(value = 1) {
    return this.#apply('sub', value);
  }

  /** Sets the value to `replacement` if it is `expected`; gives the value before. */
  compareExchange(expected, replacement) {
    return this.#apply('exchange', integer(replacement, 'replacement'), expected);
  }
}

/** A table of named numbers that many processes add to. */
class Counters {
  #core;

  constructor(core) {
    this.#core = core;
  }

  get capacity() {
    return this.#core.capacity;
  }

  /** Adds and gives the value before. */
  add(name, amount = 1) {
    check.string(name, 'name');
    return unwrap(this.#core.add(name, amount));
  }

  set(name, value) {
    check.string(name, 'name');
    unwrap(this.#core.set(name, value));
  }

  /** Every name and its value. */
  values() {
    return Object.fromEntries(unwrap(this.#core.list()).map(({ name, value }) => [name, value]));
  }
}

/** How often values of which size were recorded, by all processes. */
class Histogram {
  static SIZE = 4096;
  #core;

  constructor(core) {
    this.#core = core;
  }

  record(value) {
    unwrap(this.#core.record(whole(value, 'value')));
  }

  get count() {
    return this.#core.figures()[0];
  }

  get sum() {
    return this.#core.figures()[1];
  }

  get min() {
    return this.#core.figures()[2];
  }

  get max() {
    return this.#core.figures()[3];
  }

  /** A value that this part of the recorded ones, between 0 and 1, does not exceed. */
  quantile(part) {
    return this.#core.quantile(part);
  }
}

/** Memory that several processes map, without a name: it lives as long as somebody has it. */
class SharedMemory {
  #core;
  #bytes;

  constructor(size, options = {}) {
    if (size !== undefined && size !== null && size.constructor === native.Memory) {
      this.#core = size;
      return;
    }
    whole(size, 'size');
    check.object(options, 'options');
    const { readOnly = false, prefault = false, hugePages = false } = options;
    for (const [name, value] of Object.entries({ readOnly, prefault, hugePages })) check.boolean(value, `options.${name}`);
    this.#core = unwrap(native.createMemory(size, readOnly, prefault, hugePages));
  }

  /** Opens the memory behind a descriptor, which stays open and the caller's. */
  static fromFd(fd) {
    check.int32(fd, 'fd');
    return new SharedMemory(unwrap(native.openMemory(fd)));
  }

  #open() {
    if (this.#core === null) throw new ProcsError('memory: it was closed', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
    return this.#core;
  }

  get size() {
    return this.#open().size;
  }

  /** The descriptor, to pass on; it belongs to this object. */
  get fd() {
    return this.#open().fd;
  }

  get readOnly() {
    return this.#open().readOnly;
  }

  get writable() {
    return this.#open().writable;
  }

  get hugePages() {
    return this.#open().hugePages;
  }

  get closed() {
    return this.#core === null;
  }

  /** The memory itself as an ArrayBuffer, always the same. Where this process cannot write to it: a copy of this moment. */
  get buffer() {
    const core = this.#open();
    if (!core.writable) return core.buffer().buffer;
    this.#bytes ??= core.buffer();
    return this.#bytes.buffer;
  }

  /** Copies bytes out. */
  read(offset = 0, size = this.size - offset) {
    return unwrap(this.#open().read(whole(offset, 'offset'), whole(size, 'size')));
  }

  /** Copies bytes in: a Buffer, typed array, DataView, ArrayBuffer or string (UTF-8). */
  write(offset, data) {
    let bytes = data;
    if (typeof data === 'string') bytes = Buffer.from(data);
    else if (ArrayBuffer.isView(data)) bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    else if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) bytes = new Uint8Array(data);
    else throw nodeError('ERR_INVALID_ARG_TYPE', 'data', ['Buffer', 'TypedArray', 'DataView', 'ArrayBuffer', 'string'], data);
    unwrap(this.#open().write(whole(offset, 'offset'), bytes));
  }

  /** Sets a range to one byte. */
  fill(offset = 0, size = this.size - offset, byte = 0) {
    check.int32(byte, 'byte');
    unwrap(this.#open().fill(whole(offset, 'offset'), whole(size, 'size'), byte & 0xff));
  }

  /** The number at an offset: 'u32', 'i32', 'u64' or 'i64'. */
  cell(offset, kind = 'u64') {
    if (!Object.hasOwn(NUMBERS, kind)) throw nodeError('ERR_INVALID_ARG_VALUE', 'kind', kind, "must be 'u32', 'i32', 'u64' or 'i64'");
    return new AtomicCell(() => this.#open(), kind, whole(offset, 'offset'));
  }

  /** The lock at an offset; `create`: true makes it, false opens it, else whichever is needed. */
  mutex(offset, options = {}) {
    return new locks.SharedMutex(unwrap(native.placeMutex(this.#open(), whole(offset, 'offset'), how(options))));
  }

  rwlock(offset, options = {}) {
    return new locks.SharedRwLock(unwrap(native.placeRwLock(this.#open(), whole(offset, 'offset'), how(options))));
  }

  /** `value` permits when it is made (1). */
  semaphore(offset, options = {}) {
    const create = how(options);
    const { value = 1 } = options;
    return new locks.SharedSemaphore(unwrap(native.placeSemaphore(this.#open(), whole(offset, 'offset'), create, whole(value, 'options.value'))));
  }

  event(offset, options = {}) {
    return new locks.SharedEvent(unwrap(native.placeEvent(this.#open(), whole(offset, 'offset'), how(options))));
  }

  /** For `parties` when it is made (2). */
  barrier(offset, options = {}) {
    const create = how(options);
    const { parties = 2 } = options;
    return new locks.SharedBarrier(unwrap(native.placeBarrier(this.#open(), whole(offset, 'offset'), create, whole(parties, 'options.parties'))));
  }

  once(offset, options = {}) {
    return new locks.SharedOnce(unwrap(native.placeOnce(this.#open(), whole(offset, 'offset'), how(options))));
  }

  /** With room for `capacity` names when it is made (32). */
  counters(offset, options = {}) {
    const create = how(options);
    const { capacity = 32 } = options;
    return new Counters(unwrap(native.placeCounters(this.#open(), whole(offset, 'offset'), create, whole(capacity, 'options.capacity'))));
  }

  histogram(offset, options = {}) {
    return new Histogram(unwrap(native.placeHistogram(this.#open(), whole(offset, 'offset'), how(options))));
  }

  /** Gives the memory up. An ArrayBuffer that was handed out keeps the mapping until it is collected. */
  close() {
    this.#core?.close();
    this.#core = null;
    this.#bytes = undefined;
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }
}

module.exports = { SharedMemory, AtomicCell, Counters, Histogram, memoryLayout: native.memoryLayout };

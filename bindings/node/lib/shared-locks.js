'use strict';

// Locks in shared memory. `…Sync` blocks the thread, the plain name is a promise; times are milliseconds, none is for ever.

const { hub, answer } = require('./hub.js');
const { AbortError, nodeError, ProcsError, isFailure, unwrap } = require('./errors.js');
const check = require('./validate.js');

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose');

function milliseconds(timeout) {
  if (timeout === undefined || timeout === null || timeout === Infinity) return -1;
  if (typeof timeout !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', 'timeout', 'number', timeout);
  if (!(timeout >= 0)) throw nodeError('ERR_OUT_OF_RANGE', 'timeout', 'a number from 0', timeout);
  return timeout;
}

/** Whether it was taken, for calls that only try. */
function tried(result) {
  if (isFailure(result) && result.kind === 'WOULD_BLOCK') return null;
  return unwrap(result);
}

/** What a wait of the core comes to, as a promise. */
async function settled(start, options = {}) {
  check.object(options, 'options');
  const { timeout, signal } = options;
  const ms = milliseconds(timeout);
  if (signal !== undefined) check.abortSignal(signal, 'options.signal');
  if (signal?.aborted) throw new AbortError(signal.reason);
  const wait = start(ms);
  const abort = () => wait.cancel();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      await answer((id) => wait.look(hub, id), () => undefined);
      if (signal?.aborted) throw new AbortError(signal.reason);
      const result = wait.result();
      if (result !== null) return unwrap(result);
    }
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** Holds a lock until `unlock`, once. */
class Guard {
  #release;
  #repair;

  constructor(ownerDied, release, repair) {
    this.ownerDied = ownerDied;
    this.#release = release;
    this.#repair = repair;
  }

  /** Says that what the lock protects is whole again. Without it the lock is poisoned when a holder has died. */
  repair() {
    this.#repair?.();
  }

  unlock() {
    const release = this.#release;
    if (release === null) throw new ProcsError('lock: it was given back before', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
    this.#release = null;
    unwrap(release());
  }

  [DISPOSE]() {
    if (this.#release !== null) this.unlock();
  }
}

/** A lock that one thread holds, in any process; it tells when its holder died. */
class SharedMutex {
  /** Bytes that it takes, at a multiple of 64: docs/memory.md. */
  static SIZE = 128;
  #core;

  constructor(core) {
    this.#core = core;
  }

  #guard(ownerDied) {
    return new Guard(ownerDied, () => this.#core.release(), () => this.#core.repair());
  }

  /** Blocks this thread until it has the lock. */
  lockSync(timeout) {
    return this.#guard(unwrap(this.#core.acquire(milliseconds(timeout))));
  }

  /** The lock if it is free, else null. */
  tryLock() {
    const died = tried(this.#core.acquire(0));
    return died === null ? null : this.#guard(died);
  }

  async lock(options) {
    return this.#guard(await settled((ms) => this.#core.acquireLater(ms), options));
  }
}

/** A lock that many hold for reading or one for writing. */
class SharedRwLock {
  static SIZE = 4096;
  #core;

  constructor(core) {
    this.#core = core;
  }

  #reading() {
    return new Guard(false, () => this.#core.releaseRead());
  }

  #writing(ownerDied) {
    return new Guard(ownerDied, () => this.#core.releaseWrite(), () => this.#core.repair());
  }

  readSync(timeout) {
    unwrap(this.#core.read(milliseconds(timeout)));
    return this.#reading();
  }

  writeSync(timeout) {
    return this.#writing(unwrap(this.#core.write(milliseconds(timeout))));
  }

  tryRead() {
    return tried(this.#core.read(0)) === null ? null : this.#reading();
  }

  tryWrite() {
    const died = tried(this.#core.write(0));
    return died === null ? null : this.#writing(died);
  }

  async read(options) {
    await settled((ms) => this.#core.readLater(ms), options);
    return this.#reading();
  }

  async write(options) {
    return this.#writing(await settled((ms) => this.#core.writeLater(ms), options));
  }
}

/** So many permits; those of a process that dies are free again. */
class SharedSemaphore {
  static SIZE = 4096;
  #core;

  constructor(core) {
    this.#core = core;
  }

  acquireSync(timeout) {
    unwrap(this.#core.acquire(milliseconds(timeout)));
  }

  /** Whether there was a permit. */
  tryAcquire() {
    return tried(this.#core.acquire(0)) !== null;
  }

  async acquire(options) {
    await settled((ms) => this.#core.acquireLater(ms), options);
  }

  /** Gives permits back; adds new ones when this process holds none. */
  release(count = 1) {
    for (let index = 0; index < count; index++) unwrap(this.#core.release());
  }

  get available() {
    return unwrap(this.#core.available());
  }
}

/** Something that has happened or not. */
class SharedEvent {
  static SIZE = 64;
  #core;

  constructor(core) {
    this.#core = core;
  }

  set() {
    this.#core.set();
  }

  clear() {
    this.#core.clear();
  }

  get isSet() {
    return this.#core.isSet();
  }

  waitSync(timeout) {
    unwrap(this.#core.wait(milliseconds(timeout)));
  }

  async wait(options) {
    await settled((ms) => this.#core.waitLater(ms), options);
  }
}

/** A place where so many wait for one another. */
class SharedBarrier {
  static SIZE = 4096;
  #core;

  constructor(core) {
    this.#core = core;
  }

  get parties() {
    return this.#core.parties;
  }

  /** True for one of those who waited. */
  waitSync(timeout) {
    return unwrap(this.#core.wait(milliseconds(timeout)));
  }

  wait(options) {
    return settled((ms) => this.#core.waitLater(ms), options);
  }
}

/** Work that is done once, by whichever process comes first. */
class SharedOnce {
  static SIZE = 64;
  #core;

  constructor(core) {
    this.#core = core;
  }

  get done() {
    return this.#core.done;
  }

  /** Calls `work` if nobody has done it yet; waits while another does. What it throws leaves the work to the next one. */
  callOnceSync(work, timeout) {
    check.callable(work, 'work');
    if (!unwrap(this.#core.begin(milliseconds(timeout)))) return;
    let failed = true;
    try {
      work();
      failed = false;
    } finally {
      this.#core.finish(failed);
    }
  }

  /** As `callOnceSync`, for work that may be asynchronous. */
  async callOnce(work, options) {
    check.callable(work, 'work');
    if (!(await settled((ms) => this.#core.beginLater(ms), options))) return;
    let failed = true;
    try {
      await work();
      failed = false;
    } finally {
      this.#core.finish(failed);
    }
  }
}

module.exports = { SharedMutex, SharedRwLock, SharedSemaphore, SharedEvent, SharedBarrier, SharedOnce };

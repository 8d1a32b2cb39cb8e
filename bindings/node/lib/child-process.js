'use strict';

// ChildProcess: one child of this process, with the fields, events and order of Node's own.

const { EventEmitter } = require('node:events');
const { constants: { errno: ERRNO } } = require('node:os');
const { environmentPairs } = require('./arguments.js');
const { setUp: setUpChannel, kChannel } = require('./channel.js');
const messages = require('./message-channel.js');
const { nodeError, errnoError, fromFailure, isFailure, annotate } = require('./errors.js');
const { Handle } = require('./handle.js');
const { hub, newId } = require('./hub.js');
const stdio = require('./stdio.js');
const { Streams } = require('./streams.js');
const check = require('./validate.js');

/** Failures that Node reports by an 'error' event instead of throwing. */
const REPORTED = new Set([-ERRNO.EACCES, -ERRNO.EAGAIN, -ERRNO.EMFILE, -ERRNO.ENFILE, -ERRNO.ENOENT]);
/** Without descriptors there are no streams either. */
const NO_DESCRIPTORS = new Set([-ERRNO.EMFILE, -ERRNO.ENFILE]);

const kStreams = Symbol('kStreams');

// A function and not a class: code written for Node calls it on objects of its own (`ChildProcess.call(this)`).
function ChildProcess() {
  EventEmitter.call(this);
  this._closesNeeded = 1;
  this._closesGot = 0;
  this.connected = false;
  this.signalCode = null;
  this.exitCode = null;
  this.killed = false;
  this.spawnfile = null;
  this[kStreams] = undefined;
  this._handle = new Handle();
  this._handle.onexit = (code, signal, record) => ended(this, code, signal, record);
}
Object.setPrototypeOf(ChildProcess.prototype, EventEmitter.prototype);
Object.setPrototypeOf(ChildProcess, EventEmitter);

function ended(child, code, signal, record) {
  // What the child sent comes before its end.
  if (child[kChannel]?.linkReady()) process.nextTick(tellEnd, child, code, signal, record);
  else tellEnd(child, code, signal, record);
}

function tellEnd(child, code, signal, record) {
  if (signal) child.signalCode = signal;
  else child.exitCode = code;
  const streams = child[kStreams];
  streams?.closeInput();
  const { failure } = child._handle;
  child._handle = null;
  if (code < 0) {
    child.emit('error', spawnError(child, code, failure));
  } else {
    if (record?.usage && streams) streams.usage = record.usage;
    child.emit('exit', child.exitCode, child.signalCode);
  }
  if (streams) process.nextTick(drain, streams);
  streamClosed(child);
}

function drain(streams) {
  streams.drain();
}

function spawnError(child, code, failure) {
  const error = errnoError(code, child.spawnfile ? `spawn ${child.spawnfile}` : 'spawn');
  if (child.spawnfile) error.path = child.spawnfile;
  error.spawnargs = child.spawnargs.slice(1);
  return failure ? annotate(error, failure) : error;
}

function streamClosed(child) {
  if (++child._closesGot === child._closesNeeded) child.emit('close', child.exitCode, child.signalCode);
}

/** Starts the child. Options as the normalised ones of `spawn`: file, args (argument 0 first), envPairs, cwd, stdio and so on. */
ChildProcess.prototype.spawn = function spawn(options) {
  check.object(options, 'options');
  const plans = stdio.plan(options.stdio || 'pipe', false);
  checkSpawn(this, options);
  const channel = messages.wantedBy(options);
  if (channel !== undefined) {
    if (stdio.channelOf(plans) >= 0) throw nodeError('ERR_INVALID_ARG_VALUE', 'options.channel', options.channel, "cannot be used beside an 'ipc' of stdio");
    options.channelSettings = channel;
  }
  const link = openChannel(options, plans);
  const result = this._handle.spawn(options, plans);
  if (link !== 0) {
    if (result === 0) hub.linkStarted(link);
    else hub.closeLink(link);
  }
  if (REPORTED.has(result)) {
    process.nextTick(() => this._handle.onexit(result));
    if (NO_DESCRIPTORS.has(result)) return result;
  } else if (result !== 0) {
    const { failure } = this._handle;
    this._handle = null;
    throw failure && !failure.errno ? fromFailure(failure) : annotate(errnoError(result, 'spawn'), failure ?? {});
  } else {
    process.nextTick(started, this);
  }
  this.pid = this._handle.pid;
  const streams = new Streams(this._handle, plans, () => streamClosed(this));
  this._closesNeeded += streams.outputs;
  this[kStreams] = streams;
  if (link !== 0 && result === 0) {
    this._closesNeeded++;
    setUpChannel(this, link, options, () => streamClosed(this));
  }
  if (channel !== undefined && result === 0) this.channel = messages.made(channel);
  return result;
};

/** Makes the channel that the plans ask for and puts the child's end into them; its number, or 0. */
function openChannel(options, plans) {
  const place = stdio.channelOf(plans);
  if (place < 0) return 0;
  const link = newId();
  const fd = hub.openLink(link, options.serialization === 'advanced');
  if (isFailure(fd)) throw fromFailure(fd);
  plans[place] = { code: fd };
  options.envPairs ??= environmentPairs();
  options.envPairs.push(`NODE_CHANNEL_FD=${place}`, `NODE_CHANNEL_SERIALIZATION_MODE=${options.serialization || 'json'}`);
  return link;
}

function started(child) {
  // Only now, so that streams which the caller of spawn uses are never read here first.
  child[kStreams].watch();
  child.emit('spawn');
}

for (const [index, name] of ['stdin', 'stdout', 'stderr'].entries()) {
  Object.defineProperty(ChildProcess.prototype, name, {
    get() {
      return this[kStreams]?.get(index);
    },
    set(value) {
      if (this[kStreams]) this[kStreams].set(index, value);
      else Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: true,
    configurable: true,
  });
}

Object.defineProperties(ChildProcess.prototype, {
  stdio: {
    get() {
      return this[kStreams]?.list;
    },
    set(value) {
      if (this[kStreams]) this[kStreams].list = value;
      else Object.defineProperty(this, 'stdio', { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: true,
    configurable: true,
  },
  /** What the child used: `{userMs, systemMs, maxRssBytes}` once it has ended, unless somebody else reaped it. */
  usage: {
    get() {
      return this[kStreams]?.usage;
    },
    enumerable: false,
    configurable: true,
  },
});

function checkSpawn(child, options) {
  const { serialization } = options;
  if (![undefined, 'json', 'advanced'].includes(serialization)) {
    throw nodeError('ERR_INVALID_ARG_VALUE', 'options.serialization', serialization,
      "must be one of: undefined, 'json', 'advanced'");
  }
  if (options.wire != null && options.wire !== 'node') throw nodeError('ERR_INVALID_ARG_VALUE', 'options.wire', options.wire, "must be 'node' or absent");
  if (options.envPairs !== undefined) check.array(options.envPairs, 'options.envPairs');
  check.string(options.file, 'options.file');
  child.spawnfile = options.file;
  if (options.args !== undefined) check.array(options.args, 'options.args');
  child.spawnargs = options.args ?? [];
}

/** Sends a signal (default SIGTERM). True when it was delivered; `killed` says so from then on. */
ChildProcess.prototype.kill = function kill(signal) {
  const number = signal === 0 ? 0 : check.signalNumber(signal === undefined ? 'SIGTERM' : signal);
  if (!this._handle) return false;
  const result = this._handle.kill(number);
  if (result === 0) {
    this.killed = true;
    return true;
  }
  if (result === -ERRNO.EINVAL || result === -ERRNO.ENOSYS) throw errnoError(result, 'kill');
  if (result !== -ERRNO.ESRCH) this.emit('error', errnoError(result, 'kill'));
  return false;
};

ChildProcess.prototype[Symbol.dispose ?? Symbol.for('nodejs.dispose')] = function disposeChild() {
  if (!this.killed) this.kill();
};

/** Keeps the event loop alive while the child runs (the state after a start). */
ChildProcess.prototype.ref = function ref() {
  if (this._handle) this._handle.ref();
};

/** Lets the event loop end although the child runs. */
ChildProcess.prototype.unref = function unref() {
  if (this._handle) this._handle.unref();
};

module.exports = { ChildProcess, kStreams };

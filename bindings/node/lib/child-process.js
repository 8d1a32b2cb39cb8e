'use strict';

// ChildProcess: one child of this process, with the fields, events and order of Node's own.

const { EventEmitter } = require('node:events');
const { constants: { errno: ERRNO } } = require('node:os');
const { nodeError, errnoError, fromFailure, annotate } = require('./errors.js');
const { Handle } = require('./handle.js');
const stdio = require('./stdio.js');
const check = require('./validate.js');

/** Failures that Node reports by an 'error' event instead of throwing. */
const REPORTED = new Set([-ERRNO.EACCES, -ERRNO.EAGAIN, -ERRNO.EMFILE, -ERRNO.ENFILE, -ERRNO.ENOENT]);
/** Without descriptors there are no streams either. */
const NO_DESCRIPTORS = new Set([-ERRNO.EMFILE, -ERRNO.ENFILE]);

/** Streams that became another child's: never drained here. */
const handedOver = new WeakSet();

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
  this._handle = new Handle();
  this._handle.onexit = (code, signal, record) => ended(this, code, signal, record);
}
Object.setPrototypeOf(ChildProcess.prototype, EventEmitter.prototype);
Object.setPrototypeOf(ChildProcess, EventEmitter);

function ended(child, code, signal, record) {
  if (signal) child.signalCode = signal;
  else child.exitCode = code;
  if (child.stdin) child.stdin.destroy();
  const { failure } = child._handle;
  child._handle = null;
  if (code < 0) {
    child.emit('error', spawnError(child, code, failure));
  } else {
    if (record?.usage) Object.defineProperty(child, 'usage', { value: record.usage, configurable: true });
    child.emit('exit', child.exitCode, child.signalCode);
  }
  // The user's handlers have had their last chance to read; what nobody reads is drained so that 'close' comes.
  process.nextTick(drainUnread, child);
  streamClosed(child);
}

function spawnError(child, code, failure) {
  const error = errnoError(code, child.spawnfile ? `spawn ${child.spawnfile}` : 'spawn');
  if (child.spawnfile) error.path = child.spawnfile;
  error.spawnargs = child.spawnargs.slice(1);
  return failure ? annotate(error, failure) : error;
}

function drainUnread(child) {
  for (const stream of child.stdio ?? []) {
    if (stream && stream.readable && !handedOver.has(stream)) stream.resume();
  }
}

function streamClosed(child) {
  if (++child._closesGot === child._closesNeeded) child.emit('close', child.exitCode, child.signalCode);
}

/** Starts the child. Options as the normalised ones of `spawn`: file, args (argument 0 first), envPairs, cwd, stdio and so on. */
ChildProcess.prototype.spawn = function spawn(options) {
  check.object(options, 'options');
  const plans = stdio.plan(options.stdio || 'pipe', false);
  checkSpawn(this, options);
  stdio.refuseChannel(plans);
  const result = this._handle.spawn(options, plans);
  if (REPORTED.has(result)) {
    process.nextTick(() => this._handle.onexit(result));
    if (NO_DESCRIPTORS.has(result)) return result;
  } else if (result !== 0) {
    const { failure } = this._handle;
    this._handle = null;
    throw failure && !failure.errno ? fromFailure(failure) : annotate(errnoError(result, 'spawn'), failure ?? {});
  } else {
    process.nextTick(() => this.emit('spawn'));
  }
  this.pid = this._handle.pid;
  openStreams(this, plans);
  return result;
};

function checkSpawn(child, options) {
  const { serialization } = options;
  if (![undefined, 'json', 'advanced'].includes(serialization)) {
    throw nodeError('ERR_INVALID_ARG_VALUE', 'options.serialization', serialization,
      "must be one of: undefined, 'json', 'advanced'");
  }
  if (options.envPairs !== undefined) check.array(options.envPairs, 'options.envPairs');
  check.string(options.file, 'options.file');
  child.spawnfile = options.file;
  if (options.args !== undefined) check.array(options.args, 'options.args');
  child.spawnargs = options.args ?? [];
}

function openStreams(child, plans) {
  child.stdio = plans.map((plan, index) => {
    if (plan.wrapped) {
      stdio.release(plan.wrapped);
      handedOver.add(plan.wrapped);
    }
    if (plan.code !== stdio.PIPE) return null;
    const socket = stdio.socketFor(child._handle.takeEnd(index), index);
    // As in Node, 'close' does not wait for stdin: a program that exits with unread input would hold it back.
    if (index > 0) {
      child._closesNeeded++;
      socket.on('close', () => streamClosed(child));
    }
    return socket;
  });
  [child.stdin = null, child.stdout = null, child.stderr = null] = child.stdio;
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

module.exports = { ChildProcess };

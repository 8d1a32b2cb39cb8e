'use strict';

// ChildProcess: one child of this process, with the fields, events and order of Node's own.

const diagnostics = require('node:diagnostics_channel').channel('child_process');
const { EventEmitter } = require('node:events');
const { constants: { errno: ERRNO } } = require('node:os');
const { kSpecial, environmentPairs } = require('./arguments.js');
const { nodeError, errnoError, fromFailure, isFailure, annotate } = require('./errors.js');
const { Handle } = require('./handle.js');
const { hub, newId } = require('./hub.js');
const stdio = require('./stdio.js');
const check = require('./validate.js');

/** Failures that Node reports by an 'error' event instead of throwing. */
const REPORTED = new Set([-ERRNO.EACCES, -ERRNO.EAGAIN, -ERRNO.EMFILE, -ERRNO.ENFILE, -ERRNO.ENOENT]);
/** Without descriptors there are no streams either. */
const NO_DESCRIPTORS = new Set([-ERRNO.EMFILE, -ERRNO.ENFILE]);

const kStreams = Symbol('kStreams');
const kChannel = Symbol('kChannel');
const kPlans = Symbol('kPlans');
const kUsage = Symbol('kUsage');

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
  this[kPlans] = undefined;
  this[kStreams] = undefined;
  this[kUsage] = undefined;
  this._handle = new Handle(this, ended);
  if (diagnostics.hasSubscribers) diagnostics.publish({ process: this });
}
Object.setPrototypeOf(ChildProcess.prototype, EventEmitter.prototype);
Object.setPrototypeOf(ChildProcess, EventEmitter);

/** The child's end, or the failure of its start. */
function ended(child, code, signal, usage) {
  // What the child sent comes before its end; of one that did not start first its failure.
  if (code >= 0 && child[kChannel] !== undefined && child[kChannel].readRest()) process.nextTick(tellEnd, child, code, signal, usage);
  else tellEnd(child, code, signal, usage);
}

function tellEnd(child, code, signal, usage) {
  if (signal) child.signalCode = signal;
  else child.exitCode = code;
  const streams = child[kStreams];
  if (streams !== undefined) streams.closeInput();
  if (code < 0) {
    tellFailure(child, code);
  } else {
    child._handle = null;
    child[kUsage] = usage;
    child.emit('exit', child.exitCode, child.signalCode);
  }
  if (streams !== undefined) process.nextTick(drain, streams);
  streamClosed(child);
}

function tellFailure(child, code) {
  const { failure } = child._handle;
  child._handle = null;
  child.emit('error', spawnError(child, code, failure));
}

function drain(streams) {
  streams.drain();
}

/** The streams of a started child. One that has none gets the object when somebody looks. */
function streamsOf(child) {
  if (child[kStreams] === undefined && child[kPlans] !== undefined) child[kStreams] = makeStreams(child);
  return child[kStreams];
}

// What most children do not have is loaded for the first that has it.

function makeStreams(child) {
  const { Streams } = require('./streams.js');
  return new Streams(child._handle, child[kPlans], () => streamClosed(child));
}

function setUpChannel(child, link, options) {
  const { setUp } = require('./channel-methods.js');
  child[kChannel] = setUp(child, link, options, () => streamClosed(child));
}

function spawnError(child, code, failure) {
  const error = errnoError(code, child.spawnfile ? `spawn ${child.spawnfile}` : 'spawn');
  if (child.spawnfile) error.path = child.spawnfile;
  error.spawnargs = child.spawnargs.slice(1);
  return failure ? annotate(error, failure) : error;
}

function streamClosed(child) {
  if (++child._closesGot !== child._closesNeeded) return;
  child.emit('close', child.exitCode, child.signalCode);
  child[kStreams]?.closed();
}

/** Starts the child. Options as the normalised ones of `spawn`: file, args (argument 0 first), envPairs, cwd, stdio and so on. */
ChildProcess.prototype.spawn = function spawn(options) {
  check.object(options, 'options');
  return start(this, options);
};

// The functions of the way that most starts take are short, with the rest in others: the engine compiles one of at most 80 bytes of bytecode after a
// thousand calls, together with what it calls, and a long one after some thousands.
function start(child, options) {
  const plans = plansOf(options);
  return hasMore(options, plans) ? startWithMore(child, options, plans) : startPlain(child, options, plans);
}

function startPlain(child, options, plans) {
  child.spawnfile = options.file;
  child.spawnargs = options.args;
  return begin(child, plans, child._handle.spawn(options, plans));
}

function plansOf(options) {
  return stdio.plan(options.stdio || 'pipe', false);
}

function hasMore(options, plans) {
  // False only where spawn has checked everything.
  return options[kSpecial] !== false || plans.channel >= 0;
}

/** What follows a start with this result. */
function begin(child, plans, result) {
  if (result === 0) process.nextTick(started, child);
  else if (notStarted(child, result)) return result;
  child.pid = child._handle.pid;
  child[kPlans] = plans;
  if (plans.streams) addStreams(child);
  return result;
}

function addStreams(child) {
  child._closesNeeded += streamsOf(child).outputs;
}

/** A start with options that few have, with a channel, or by somebody who calls the method. */
function startWithMore(child, options, plans) {
  let link = 0;
  checkSpawn(options);
  child.spawnfile = options.file;
  child.spawnargs = options.args ?? [];
  const channel = wantedChannel(options, plans);
  if (plans.channel >= 0) {
    link = newId();
    const opened = openChannel(options, plans, link);
    if (isFailure(opened)) return withoutChannel(child, opened);
    plans = opened;
  }
  const handle = child._handle;
  const result = handle.spawn(options, plans);
  if (link !== 0) {
    // A start that fails by an 'error' event leaves a channel behind that hears of its end at once.
    if (result === 0 || (REPORTED.has(result) && !NO_DESCRIPTORS.has(result))) hub.linkStarted(link);
    else hub.closeLink(link);
  }
  begin(child, plans, result);
  if (channel !== undefined) child.channel = madeChannel(channel, result !== 0);
  if (NO_DESCRIPTORS.has(result)) return result;
  if (link !== 0) {
    child._closesNeeded++;
    setUpChannel(child, link, options);
  }
  return result;
}

/** Reports a failed start, now or by an event; true when the child gets no streams. */
function notStarted(child, result) {
  if (!REPORTED.has(result)) {
    const { failure } = child._handle;
    child._handle = null;
    throw failure && !failure.errno ? fromFailure(failure) : annotate(errnoError(result, 'spawn'), failure ?? {});
  }
  process.nextTick(reportFailure, child, result);
  return NO_DESCRIPTORS.has(result);
}

function reportFailure(child, result) {
  child._handle.onexit(result);
}

/** A start whose channel could not be made. Without descriptors it is reported as every other start. */
function withoutChannel(child, failure) {
  const result = -failure.errno;
  if (!NO_DESCRIPTORS.has(result)) throw fromFailure(failure);
  child._handle.failure = failure;
  process.nextTick(reportFailure, child, result);
  return result;
}

/** The settings of our own channel, when one is asked for. */
function wantedChannel(options, plans) {
  if (options.channel === undefined || options.channel === null || options.channel === false) return undefined;
  const channel = require('./message-channel.js').wanted(options.channel);
  if (plans.channel >= 0) throw nodeError('ERR_INVALID_ARG_VALUE', 'options.channel', options.channel, "cannot be used beside an 'ipc' of stdio");
  options.channelSettings = channel;
  return channel;
}

function madeChannel(channel, isOver) {
  return require('./message-channel.js').made(channel, isOver);
}

/** Makes the channel that the plans ask for; gives the plans with the child's end in them, or a failure. */
function openChannel(options, plans, link) {
  const fd = hub.openLink(link, options.serialization === 'advanced');
  if (isFailure(fd)) return fd;
  options.envPairs ??= environmentPairs();
  options.envPairs.push(`NODE_CHANNEL_FD=${plans.channel}`, `NODE_CHANNEL_SERIALIZATION_MODE=${options.serialization || 'json'}`);
  return plans.withChannel(fd);
}

function started(child) {
  // Only now, so that streams which the caller of spawn uses are never read here first.
  if (child[kPlans].streams) child[kStreams].watch();
  child.emit('spawn');
}

for (const [index, name] of ['stdin', 'stdout', 'stderr'].entries()) {
  Object.defineProperty(ChildProcess.prototype, name, {
    get() {
      return streamsOf(this)?.get(index);
    },
    set(value) {
      const streams = streamsOf(this);
      if (streams) streams.set(index, value);
      else Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: true,
    configurable: true,
  });
}

Object.defineProperties(ChildProcess.prototype, {
  stdio: {
    get() {
      return streamsOf(this)?.list;
    },
    set(value) {
      const streams = streamsOf(this);
      if (streams) streams.list = value;
      else Object.defineProperty(this, 'stdio', { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: true,
    configurable: true,
  },
  /** What the child used: `{userMs, systemMs, maxRssBytes}` once it has ended, unless somebody else reaped it. */
  usage: {
    get() {
      return this[kUsage];
    },
    enumerable: false,
    configurable: true,
  },
});

function checkSpawn(options) {
  const { serialization } = options;
  if (![undefined, 'json', 'advanced'].includes(serialization)) {
    throw nodeError('ERR_INVALID_ARG_VALUE', 'options.serialization', serialization,
      "must be one of: undefined, 'json', 'advanced'");
  }
  if (options.wire != null && options.wire !== 'node') throw nodeError('ERR_INVALID_ARG_VALUE', 'options.wire', options.wire, "must be 'node' or absent");
  if (options.envPairs !== undefined) check.array(options.envPairs, 'options.envPairs');
  check.string(options.file, 'options.file');
  if (options.args !== undefined) check.array(options.args, 'options.args');
}

/** Sends a signal (default SIGTERM). True when it was delivered; `killed` says so from then on. */
ChildProcess.prototype.kill = function kill(signal) {
  const number = signal === 0 ? 0 : check.signalNumber(signal === undefined ? 'SIGTERM' : signal);
  if (!this._handle) return false;
  // What was sent before a signal comes before it.
  this[kChannel]?.flush();
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

module.exports = { ChildProcess, kStreams, start };

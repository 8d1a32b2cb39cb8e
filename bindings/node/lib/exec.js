'use strict';

// execFile and exec: a child whose whole output goes to a callback or promise.

const { promisify, getSystemErrorName } = require('node:util');
const { nodeError, isFailure, fromFailure } = require('./errors.js');
const { normalizeExec, normalizeExecFile } = require('./arguments.js');
const { START_OPTIONS } = require('./start-options.js');
const { spawn, terminate } = require('./spawn.js');
const { kStreams } = require('./child-process.js');
const check = require('./validate.js');
const { handOut } = require('./young.js');

const MAX_BUFFER = 1024 * 1024;

/**
 * Collects one output up to a limit in bytes. As long as nobody else looks at the stream, the native side does it and its bytes come at the
 * end; else from the stream's own events. The chunk that crosses the limit is cut there.
 */
class Collector {
  #chunks = [];
  #bytes = 0;
  #encoding;
  #limit;
  #onExceeded;
  #onFailed;
  #ended = null;

  constructor(encoding, limit, onExceeded, onFailed) {
    this.#encoding = encoding;
    this.#limit = limit;
    this.#onExceeded = onExceeded;
    this.#onFailed = onFailed;
  }

  /** Listens to the stream; `before` is what was collected natively until now. */
  attach(stream, before) {
    if (before !== null && before.length > 0) this.#chunks.push(this.#encoding ? before.toString(this.#encoding) : before);
    this.#bytes = before?.length ?? 0;
    if (this.#encoding) stream.setEncoding(this.#encoding);
    this.stream = stream;
    stream.on('data', (chunk) => this.#take(chunk));
  }

  #take(chunk) {
    if (this.#limit === Infinity) {
      this.#chunks.push(chunk);
      return;
    }
    const encoding = this.stream.readableEncoding;
    const before = this.#bytes;
    this.#bytes += encoding ? Buffer.byteLength(chunk, encoding) : chunk.length;
    if (this.#bytes <= this.#limit) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks.push(chunk.slice(0, this.#limit - before));
    this.#onExceeded();
  }

  /** The native side has collected everything. It is taken over when it is asked for: until then the collector need not know of it. */
  ended(handle, index) {
    this.#ended = () => this.finish(handle, index, false);
  }

  /** Takes over what the native side has collected. */
  finish(handle, index, over) {
    if (!over && this.#encoding === 'utf8') {
      const text = handle.collectedText(index);
      if (isFailure(text)) this.#onFailed(fromFailure(text));
      else if (text !== null) this.#chunks.push(text);
      return;
    }
    const collected = handle.collected(index);
    if (isFailure(collected)) this.#onFailed(fromFailure(collected));
    if (collected === null || isFailure(collected)) return;
    const { bytes, within } = collected;
    if (!over) {
      this.#chunks.push(this.#encoding ? bytes.toString(this.#encoding) : bytes);
      return;
    }
    const room = this.#limit - within;
    if (this.#encoding) {
      this.#chunks.push(bytes.toString(this.#encoding, 0, within), bytes.toString(this.#encoding, within).slice(0, room));
    } else {
      this.#chunks.push(bytes.subarray(0, this.#limit));
    }
    this.#onExceeded();
  }

  /** What was collected, once. */
  result() {
    const chunks = this.#chunks;
    this.#ended?.();
    this.#ended = null;
    const whole = chunks.length === 1 ? chunks[0] : this.#joined();
    // Emptied and not replaced: an array that is old already would keep the chunks alive until the collector looks at all old objects.
    chunks.length = 0;
    return whole;
  }

  #joined() {
    return this.#encoding || this.stream?.readableEncoding ? this.#chunks.join('') : Buffer.concat(this.#chunks);
  }
}

/** One execFile: from the child's events to the one call of the callback. */
class Execution {
  #error = null;
  #done = false;
  #killed = false;
  #timer;
  #handle;

  constructor(child, command, options, callback) {
    this.child = child;
    this.command = command;
    this.options = options;
    this.callback = callback;
    const encoding = options.encoding !== 'buffer' && Buffer.isEncoding(options.encoding) ? options.encoding : null;
    if (options.timeout > 0) this.#timer = setTimeout(() => this.#kill(), options.timeout);
    this.limit = options.maxBuffer;
    // Output that was lost, for want of memory perhaps, is no success whatever the child's code.
    const failed = (error) => { this.#error ??= error; };
    this.stdout = new Collector(encoding, options.maxBuffer, () => this.#exceeded('stdout'), failed);
    this.stderr = new Collector(encoding, options.maxBuffer, () => this.#exceeded('stderr'), failed);
    this.#handle = child._handle;
    const streams = child[kStreams];
    if (streams) this.#watch(streams);
    child.addListener('close', (code, signal) => this.#finish(code, signal));
    child.addListener('error', (error) => this.#fail(error));
  }

  #watch(streams) {
    streams.collector = this;
    for (let index = 1; index < 3; index++) {
      const stream = streams.opened(index); // by whoever wraps the start
      if (stream !== null) this.attach(index, stream, null);
    }
  }

  /** Somebody looks at a stream: from now on its events are collected. */
  attach(index, stream, before) {
    (index === 1 ? this.stdout : this.stderr).attach(stream, before);
  }

  /** A natively collected stream has ended or exceeded its limit, or was closed before that. */
  done(index, over, closed) {
    const collector = index === 1 ? this.stdout : this.stderr;
    if (over || closed) collector.finish(this.#handle, index, over);
    else collector.ended(this.#handle, index);
  }

  /** All is over. Where somebody has removed our listeners, what was collected is nobody's. */
  closed() {
    if (this.#done) return;
    this.stdout.result();
    this.stderr.result();
  }

  #exceeded(stream) {
    this.#error = nodeError('ERR_CHILD_PROCESS_STDIO_MAXBUFFER', stream);
    this.#kill();
  }

  #dropStreams() {
    this.child[kStreams]?.destroy(1);
    this.child[kStreams]?.destroy(2);
  }

  #kill() {
    this.#dropStreams();
    this.#killed = true;
    try {
      terminate(this.child, this.options.killSignal);
    } catch (error) {
      this.#error = error;
      this.#finish();
    }
  }

  #fail(error) {
    this.#error = error;
    this.#dropStreams();
    this.#finish();
  }

  #finish(code, signal) {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    const stdout = this.stdout.result();
    const stderr = this.stderr.result();
    const { callback } = this; // called without a `this`, as Node does
    if (!callback) return;
    handOut(stdout.length + stderr.length);
    if (!this.#error && code === 0 && signal === null) {
      callback(null, stdout, stderr);
      return;
    }
    this.#error ??= this.#failed(code, signal, stderr);
    this.#error.cmd = this.command;
    callback(this.#error, stdout, stderr);
  }

  #failed(code, signal, stderr) {
    const error = new Error(`Command failed: ${this.command}\n${stderr}`);
    error.code = code < 0 ? getSystemErrorName(code) : code;
    error.killed = this.child.killed || this.#killed;
    error.signal = signal;
    return error;
  }
}

/** What execFile passes on to spawn: a fixed list, as Node's, and our own options. What is not set is left out, which makes a start plain. */
function passedOn(options) {
  const given = { __proto__: null };
  if (options.cwd !== null) given.cwd = options.cwd;
  if (options.env !== null) given.env = options.env;
  if (options.shell !== false) given.shell = options.shell;
  const { gid, signal, uid, windowsHide, windowsVerbatimArguments } = options;
  Object.assign(given, { gid, signal, uid });
  // Anything goes for these, as in Node.
  if (windowsHide) given.windowsHide = true;
  if (windowsVerbatimArguments) given.windowsVerbatimArguments = true;
  for (const name of START_OPTIONS) if (options[name] !== undefined) given[name] = options[name];
  return given;
}

/** Runs a program and gives its whole output to the callback. Signature and options as in node:child_process. */
function execFile(file, args, options, callback) {
  ({ file, args, options, callback } = normalizeExecFile(file, args, options, callback));
  options = {
    __proto__: null,
    encoding: 'utf8',
    timeout: 0,
    maxBuffer: MAX_BUFFER,
    killSignal: 'SIGTERM',
    cwd: null,
    env: null,
    shell: false,
    ...options,
  };
  check.timeout(options.timeout);
  check.maxBuffer(options.maxBuffer);
  options.killSignal = check.killSignal(options.killSignal);
  const child = spawn(file, args, passedOn(options));
  new Execution(child, args.length > 0 ? `${file} ${args.join(' ')}` : file, options, callback);
  return child;
}

/** Runs a command line in a shell and gives its whole output to the callback. */
function exec(command, options, callback) {
  const normal = normalizeExec(command, options, callback);
  // Through the exports, so that whoever replaces execFile there is heard, as in Node.
  return module.exports.execFile(normal.file, normal.options, normal.callback);
}

function promised(original) {
  return (...args) => {
    let settle;
    const promise = new Promise((resolve, reject) => { settle = { resolve, reject }; });
    // Outside the promise: bad input is thrown at the caller, as Node does.
    promise.child = original(...args, (error, stdout, stderr) => {
      if (error === null) settle.resolve({ stdout, stderr });
      else settle.reject(Object.assign(error, { stdout, stderr }));
    });
    return promise;
  };
}

for (const original of [exec, execFile]) {
  Object.defineProperty(original, promisify.custom, { value: promised(original), enumerable: false });
}

module.exports = { exec, execFile };

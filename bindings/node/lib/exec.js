'use strict';

// execFile and exec: a child whose whole output goes to a callback or promise.

const { promisify, getSystemErrorName } = require('node:util');
const { nodeError } = require('./errors.js');
const { normalizeExec, normalizeExecFile } = require('./arguments.js');
const { START_OPTIONS } = require('./start-options.js');
const { spawn, terminate } = require('./spawn.js');
const check = require('./validate.js');

const MAX_BUFFER = 1024 * 1024;

/** Collects one stream up to a limit in bytes; the chunk that crosses it is cut there. */
class Collector {
  #chunks = [];
  #bytes = 0;

  constructor(stream, encoding, limit, onExceeded) {
    this.stream = stream;
    this.encoding = encoding;
    if (!stream) return;
    if (encoding) stream.setEncoding(encoding);
    stream.on('data', (chunk) => this.#take(chunk, limit, onExceeded));
  }

  #take(chunk, limit, onExceeded) {
    if (limit === Infinity) {
      this.#chunks.push(chunk);
      return;
    }
    const encoding = this.stream.readableEncoding;
    const before = this.#bytes;
    this.#bytes += encoding ? Buffer.byteLength(chunk, encoding) : chunk.length;
    if (this.#bytes <= limit) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks.push(chunk.slice(0, limit - before));
    onExceeded();
  }

  result() {
    return this.encoding || this.stream?.readableEncoding ? this.#chunks.join('') : Buffer.concat(this.#chunks);
  }
}

/** One execFile: from the child's events to the one call of the callback. */
class Execution {
  #error = null;
  #done = false;
  #killed = false;
  #timer;

  constructor(child, command, options, callback) {
    this.child = child;
    this.command = command;
    this.options = options;
    this.callback = callback;
    const encoding = options.encoding !== 'buffer' && Buffer.isEncoding(options.encoding) ? options.encoding : null;
    if (options.timeout > 0) this.#timer = setTimeout(() => this.#kill(), options.timeout);
    this.stdout = new Collector(child.stdout, encoding, options.maxBuffer, () => this.#exceeded('stdout'));
    this.stderr = new Collector(child.stderr, encoding, options.maxBuffer, () => this.#exceeded('stderr'));
    child.addListener('close', (code, signal) => this.#finish(code, signal));
    child.addListener('error', (error) => this.#fail(error));
  }

  #exceeded(stream) {
    this.#error = nodeError('ERR_CHILD_PROCESS_STDIO_MAXBUFFER', stream);
    this.#kill();
  }

  #dropStreams() {
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
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
    if (!this.callback) return;
    const stdout = this.stdout.result();
    const stderr = this.stderr.result();
    if (!this.#error && code === 0 && signal === null) {
      this.callback(null, stdout, stderr);
      return;
    }
    this.#error ??= this.#failed(code, signal, stderr);
    this.#error.cmd = this.command;
    this.callback(this.#error, stdout, stderr);
  }

  #failed(code, signal, stderr) {
    const error = new Error(`Command failed: ${this.command}\n${stderr}`);
    error.code = code < 0 ? getSystemErrorName(code) : code;
    error.killed = this.child.killed || this.#killed;
    error.signal = signal;
    return error;
  }
}

/** Node passes a fixed list of options on to spawn; ours are added to it. */
function ours(options) {
  const given = { __proto__: null };
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
  const { cwd, env, gid, shell, signal, uid } = options;
  const child = spawn(file, args, {
    cwd, env, gid, shell, signal, uid,
    windowsHide: !!options.windowsHide,
    windowsVerbatimArguments: !!options.windowsVerbatimArguments,
    ...ours(options),
  });
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

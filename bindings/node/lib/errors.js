'use strict';

// Errors as child_process users know them: Node's codes, messages and fields; failures of the core as Errors with .code and .kind.

const { format, inspect, getSystemErrorName } = require('node:util');

const PRIMITIVES = new Set(['string', 'function', 'number', 'object', 'Function', 'Object', 'boolean', 'bigint', 'symbol']);

function listOf(words) {
  if (words.length < 3) return words.join(' or ');
  return `${words.slice(0, -1).join(', ')}, or ${words[words.length - 1]}`;
}

function shorten(text, limit, keep) {
  return text.length > limit ? `${text.slice(0, keep)}...` : text;
}

/** Says what a value is, in the words of Node's own messages. */
function describe(value) {
  if (value === null || value === undefined) return String(value);
  switch (typeof value) {
    case 'function':
      return `function ${value.name}`;
    case 'object':
      return value.constructor && 'name' in value.constructor
        ? `an instance of ${value.constructor.name}`
        : inspect(value, { depth: -1 });
    case 'string': {
      const text = shorten(value, 28, 25);
      return `type string (${text.includes("'") ? JSON.stringify(text) : `'${text}'`})`;
    }
    case 'bigint':
      return `type bigint (${value}n)`;
    case 'number':
      return `type number (${Object.is(value, -0) ? '-0' : value})`;
    default:
      return `type ${typeof value} (${String(value)})`;
  }
}

function subject(name) {
  if (name.endsWith(' argument')) return `The ${name}`;
  return `The "${name}" ${name.includes('.') ? 'property' : 'argument'}`;
}

function wantedTypes(expected) {
  const types = expected.filter((type) => PRIMITIVES.has(type)).map((type) => type.toLowerCase());
  const classes = expected.filter((type) => !PRIMITIVES.has(type) && /^[A-Z][a-zA-Z0-9]*$/.test(type));
  const others = expected.filter((type) => !PRIMITIVES.has(type) && !classes.includes(type));
  if (classes.length > 0 && types.includes('object')) {
    types.splice(types.indexOf('object'), 1);
    classes.push('Object');
  }
  const parts = [];
  if (types.length > 0) parts.push(`${types.length > 1 ? 'one of type' : 'of type'} ${listOf(types)}`);
  if (classes.length > 0) parts.push(`an instance of ${listOf(classes)}`);
  if (others.length > 1) parts.push(`one of ${listOf(others)}`);
  if (others.length === 1) parts.push(others[0].toLowerCase() === others[0] ? others[0] : `an ${others[0]}`);
  return parts.join(' or ');
}

function grouped(value) {
  const text = String(value);
  if (typeof value === 'number' && !(Number.isInteger(value) && Math.abs(value) > 2 ** 32)) return inspect(value);
  if (typeof value === 'bigint' && value <= 2n ** 32n && value >= -(2n ** 32n)) return `${text}n`;
  return text.replace(/\B(?=(\d{3})+$)/g, '_') + (typeof value === 'bigint' ? 'n' : '');
}

const MESSAGES = {
  ERR_INVALID_ARG_TYPE: [TypeError, (name, expected, value) =>
    `${subject(name)} must be ${wantedTypes([].concat(expected))}. Received ${describe(value)}`],
  ERR_INVALID_ARG_VALUE: [TypeError, (name, value, reason = 'is invalid') =>
    `The ${name.includes('.') ? 'property' : 'argument'} '${name}' ${reason}. Received ${shorten(inspect(value), 128, 128)}`],
  ERR_OUT_OF_RANGE: [RangeError, (name, range, value) => {
    const received = typeof value === 'number' || typeof value === 'bigint' ? grouped(value) : inspect(value);
    return `The value of "${name}" is out of range. It must be ${range}. Received ${received}`;
  }],
  ERR_UNKNOWN_SIGNAL: [TypeError, (signal) => format('Unknown signal: %s', signal)],
  ERR_CHILD_PROCESS_STDIO_MAXBUFFER: [RangeError, (stream) => `${stream} maxBuffer length exceeded`],
  ERR_IPC_SYNC_FORK: [Error, () => 'IPC cannot be used with synchronous forks'],
  ERR_IPC_ONE_PIPE: [Error, () => 'Child process can have only one IPC pipe'],
  ERR_IPC_CHANNEL_CLOSED: [Error, () => 'Channel closed'],
  ERR_IPC_DISCONNECTED: [Error, () => 'IPC channel is already disconnected'],
  ERR_MISSING_ARGS: [TypeError, (name) => `The "${name}" argument must be specified`],
  ERR_INVALID_HANDLE_TYPE: [TypeError, () => 'This handle type cannot be sent'],
  ERR_CHILD_PROCESS_IPC_REQUIRED: [Error, (name) => `Forked processes must have an IPC channel, missing value 'ipc' in ${name}`],
  ERR_CHILD_CLOSED_BEFORE_REPLY: [Error, () => 'Child closed before reply received'],
  ERR_INVALID_SYNC_FORK_INPUT: [TypeError, (input) =>
    `Asynchronous forks do not support Buffer, TypedArray, DataView or string input: ${input}`],
  ERR_INVALID_URL_SCHEME: [TypeError, () => 'The URL must be of scheme file'],
  ERR_PROCS_UNSUPPORTED: [Error, (what) => what],
  ERR_PROCS_INVALID_STATE: [Error, (what) => what],
};

function plainToString() {
  return `${this.name} [${this.code}]: ${this.message}`;
}

/** An Error with one of Node's codes; the message is made from the arguments as Node does. */
function nodeError(code, ...args) {
  const [Base, message] = MESSAGES[code];
  const error = new Base(message(...args));
  Error.captureStackTrace(error, nodeError);
  // The stack is text made once from the name; Node's own shows the code there.
  const stack = error.stack.replace(Base.name, () => `${Base.name} [${code}]`);
  Object.defineProperties(error, {
    stack: { value: stack, writable: true, configurable: true },
    toString: { value: plainToString, writable: true, configurable: true },
  });
  error.code = code;
  if (code.startsWith('ERR_INVALID_') || code === 'ERR_OUT_OF_RANGE') annotate(error, { kind: 'INVALID_ARGUMENT' });
  return error;
}

/** An Error for an errno (negative, as libuv counts): code, errno and syscall as Node sets them. */
function errnoError(errno, syscall) {
  const code = getSystemErrorName(errno);
  const error = new Error(`${syscall} ${code}`);
  Error.captureStackTrace(error, errnoError);
  error.errno = errno;
  error.code = code;
  error.syscall = syscall;
  return error;
}

class AbortError extends Error {
  constructor(cause) {
    super('The operation was aborted', cause === undefined ? undefined : { cause });
    this.code = 'ABORT_ERR';
    this.name = 'AbortError';
  }
}

/** Adds what the core knows about a failure and Node's own errors do not carry, without new enumerable fields. */
function annotate(error, failure) {
  for (const key of ['kind', 'stage', 'detail']) {
    if (failure[key] != null) Object.defineProperty(error, key, { value: failure[key], writable: true, configurable: true });
  }
  return error;
}

/** An Error under one of our own names: `.kind` as in all languages, `.code` as the table of error kinds has it. */
class ProcsError extends Error {
  constructor(message, kind, code) {
    super(message);
    this.kind = kind;
    this.code = code;
  }

  get name() {
    return 'ProcsError';
  }
}

/** The Error for a failure of the core. */
function fromFailure(failure) {
  const code = failure.codeByErrno && failure.errno ? getSystemErrorName(-failure.errno) : failure.code;
  const error = new ProcsError(failure.message, failure.kind, code);
  Error.captureStackTrace(error, fromFailure);
  if (failure.errno !== 0) error.errno = -failure.errno;
  error.syscall = failure.operation;
  if (failure.path != null) error.path = failure.path;
  if (failure.stage != null) error.stage = failure.stage;
  error.detail = failure.detail;
  if (failure.remoteType != null) error.remoteType = failure.remoteType;
  if (failure.remoteTrace != null) error.remoteTrace = failure.remoteTrace;
  return error;
}

/** Whether the native module answered with a failure in place of a value. */
function isFailure(value) {
  return value !== null && typeof value === 'object' && value.failed === true;
}

/** The value, or the failure thrown as an Error. */
function unwrap(value) {
  if (isFailure(value)) throw fromFailure(value);
  return value;
}

module.exports = { nodeError, errnoError, AbortError, ProcsError, annotate, fromFailure, isFailure, unwrap };

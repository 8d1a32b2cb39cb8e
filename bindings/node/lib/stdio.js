'use strict';

// Every form of the stdio option, as numbers for the native module.

const { inspect } = require('node:util');
const { nodeError } = require('./errors.js');

/** Codes of the native module; 0 and up is a descriptor of this process. */
const PIPE = -1;
const IGNORE = -2;
/** The channel; its descriptor takes the place of this once it is made. */
const IPC = -3;

const HANDLES = new Set(['Pipe', 'TTY', 'TCP', 'UDP']);

/** Added to a code that is packed into a byte. */
const OFFSET = 2;
/** No stream is set. */
const UNSET = 0xffffffff;

/** What becomes of each descriptor of a child. */
class Plans {
  constructor(list) {
    /** `{code, wrapped}` by number. */
    this.list = list;
    /** The place of the channel, or -1. */
    this.channel = -1;
    /** Whether any of them is a stream of this process. */
    this.streams = false;
    for (let index = 0; index < list.length; index++) {
      const { code, wrapped } = list[index];
      if (code === PIPE || wrapped !== undefined) this.streams = true;
      else if (code === IPC) this.channel = index;
    }
    /** Codes of descriptors 0 to 2 in a byte each; -1 when they do not fit. */
    this.packed = packed(list);
  }

  /** The same with the child's end of the channel in its place. */
  withChannel(fd) {
    return new Plans(this.list.map((plan) => (plan.code === IPC ? { code: fd, wrapped: undefined } : plan)));
  }
}

function packed(list) {
  if (list.length === 0) return UNSET;
  if (list.length > 3) return -1;
  let bytes = 0;
  for (let index = 0; index < 3; index++) {
    const code = (index < list.length ? list[index].code : IGNORE) + OFFSET;
    if (code > 255 || code < 0) return -1;
    bytes |= code << (8 * index);
  }
  return bytes;
}

const SHORTHANDS = {
  __proto__: null,
  ignore: ['ignore', 'ignore', 'ignore'],
  overlapped: ['overlapped', 'overlapped', 'overlapped'],
  pipe: ['pipe', 'pipe', 'pipe'],
  inherit: [0, 1, 2],
};

/** The long form of a stdio option that is one word. */
function shorthand(stdio) {
  const long = SHORTHANDS[stdio];
  if (long === undefined) throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', stdio);
  return long.slice();
}

function handleOf(stream) {
  for (const handle of [stream, stream.handle, stream._handle]) {
    if (handle && typeof handle.fd === 'number' && handle.fd >= 0 && HANDLES.has(handle.constructor?.name)) return handle;
  }
  return undefined;
}

function classify(entry, index, sync) {
  if (entry == null) entry = index < 3 ? 'pipe' : 'ignore';
  if (entry === 'ignore') return { code: IGNORE, wrapped: undefined };
  if (entry === 'pipe' || entry === 'overlapped' || (typeof entry === 'number' && entry < 0)) return { code: PIPE, wrapped: undefined };
  if (entry === 'inherit') return { code: index, wrapped: undefined };
  if (entry === 'ipc') {
    if (sync) throw nodeError('ERR_IPC_SYNC_FORK');
    return { code: IPC, wrapped: undefined };
  }
  if (typeof entry === 'number') return { code: entry, wrapped: undefined };
  if (typeof entry.fd === 'number') return { code: entry.fd, wrapped: undefined };
  const handle = typeof entry === 'object' || typeof entry === 'function' ? handleOf(entry) : undefined;
  if (handle) return { code: handle.fd, wrapped: entry === handle ? undefined : entry };
  if (ArrayBuffer.isView(entry) || typeof entry === 'string') {
    if (!sync) throw nodeError('ERR_INVALID_SYNC_FORK_INPUT', inspect(entry));
    // Node creates nothing for such an entry; the descriptor of the same number stays closed.
    return { code: IGNORE, wrapped: undefined };
  }
  throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', entry);
}

/** The plans of the shorthands: the same for every child. */
const READY = { __proto__: null };
for (const word in SHORTHANDS) READY[word] = new Plans(SHORTHANDS[word].map((entry, index) => classify(entry, index, false)));

/** Nothing is said about any descriptor. */
const NONE = new Plans([]);

/** Checks the stdio option and gives the plans for it. */
function plan(stdio, sync) {
  if (typeof stdio === 'string') {
    const ready = READY[stdio];
    if (ready !== undefined) return ready;
  }
  if (!Array.isArray(stdio)) throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', stdio);
  while (stdio.length < 3) stdio.push(undefined); // seen by the caller, as in Node
  const list = [];
  let channel = false;
  for (let i = 0; i < stdio.length; i++) {
    const entry = classify(stdio[i], i, sync);
    if (entry.code === IPC && channel) throw nodeError('ERR_IPC_ONE_PIPE');
    channel ||= entry.code === IPC;
    list.push(entry);
  }
  return new Plans(list);
}

/** Refuses plans with a channel, where nobody could use it. */
function refuseChannel(plans) {
  if (plans.channel < 0) return;
  throw nodeError('ERR_PROCS_UNSUPPORTED', "run: 'ipc' is not available (stdio, expected any other form)");
}

module.exports = { PIPE, IGNORE, UNSET, NONE, plan, shorthand, refuseChannel };

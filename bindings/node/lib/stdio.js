'use strict';

// Every form of the stdio option, as numbers for the native module, and the host's ends as streams.

const net = require('node:net');
const { inspect } = require('node:util');
const { nodeError } = require('./errors.js');

/** Codes of the native module; 0 and up is a descriptor of this process. */
const PIPE = -1;
const IGNORE = -2;

const HANDLES = new Set(['Pipe', 'TTY', 'TCP', 'UDP']);

function shorthand(stdio) {
  switch (stdio) {
    case 'ignore':
    case 'overlapped':
    case 'pipe':
      return [stdio, stdio, stdio];
    case 'inherit':
      return [0, 1, 2];
    default:
      throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', stdio);
  }
}

function handleOf(stream) {
  for (const handle of [stream, stream.handle, stream._handle]) {
    if (handle && typeof handle.fd === 'number' && handle.fd >= 0 && HANDLES.has(handle.constructor?.name)) return handle;
  }
  return undefined;
}

function classify(entry, index, sync) {
  if (entry == null) entry = index < 3 ? 'pipe' : 'ignore';
  if (entry === 'ignore') return { code: IGNORE };
  if (entry === 'pipe' || entry === 'overlapped' || (typeof entry === 'number' && entry < 0)) return { code: PIPE };
  if (entry === 'inherit') return { code: index };
  if (entry === 'ipc') {
    if (sync) throw nodeError('ERR_IPC_SYNC_FORK');
    throw nodeError('ERR_PROCS_UNSUPPORTED', "spawn: 'ipc' is not available (stdio, expected any other form)");
  }
  if (typeof entry === 'number') return { code: entry };
  if (typeof entry.fd === 'number') return { code: entry.fd };
  const handle = typeof entry === 'object' || typeof entry === 'function' ? handleOf(entry) : undefined;
  if (handle) return { code: handle.fd, wrapped: entry === handle ? undefined : entry };
  if (ArrayBuffer.isView(entry) || typeof entry === 'string') {
    if (!sync) throw nodeError('ERR_INVALID_SYNC_FORK_INPUT', inspect(entry));
    // Node creates nothing for such an entry; the descriptor of the same number stays closed.
    return { code: IGNORE };
  }
  throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', entry);
}

/** Checks the stdio option and gives one plan per descriptor: `{code, wrapped}`. */
function plan(stdio, sync) {
  if (typeof stdio === 'string') stdio = shorthand(stdio);
  else if (!Array.isArray(stdio)) throw nodeError('ERR_INVALID_ARG_VALUE', 'stdio', stdio);
  while (stdio.length < 3) stdio.push(undefined); // seen by the caller, as in Node
  const plans = [];
  for (let i = 0; i < stdio.length; i++) plans.push(classify(stdio[i], i, sync));
  return plans;
}

/** A stream that was handed to a child is not read here until somebody resumes it: both would take bytes from one description. */
function release(stream) {
  if (typeof stream.pause !== 'function') return;
  if (stream._handle) {
    stream._handle.reading = false;
    stream._handle.readStop?.();
  }
  stream.pause();
  if (stream._readableState) {
    stream._readableState.flowing = false;
    stream._readableState.reading = false;
  }
}

/** The host's end of a child's pipe: stdin is written, 1 and 2 are read, higher ones are duplex. */
function socketFor(fd, index) {
  return new net.Socket({ fd, readable: index > 0, writable: index === 0 || index > 2 });
}

module.exports = { PIPE, IGNORE, plan, release, socketFor };

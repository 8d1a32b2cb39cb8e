'use strict';

// Checks of arguments, with the codes and messages of Node's own.

const { constants: { signals: SIGNALS } } = require('node:os');
const { fileURLToPath } = require('node:url');
const { nodeError } = require('./errors.js');

const SIGNAL_NAMES = new Map(Object.entries(SIGNALS).map(([name, number]) => [number, name]));

function string(value, name) {
  if (typeof value !== 'string') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'string', value);
}

function boolean(value, name) {
  if (typeof value !== 'boolean') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'boolean', value);
}

function object(value, name) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', name, 'Object', value);
  }
}

function array(value, name) {
  if (!Array.isArray(value)) throw nodeError('ERR_INVALID_ARG_TYPE', name, 'Array', value);
}

function callable(value, name) {
  if (typeof value !== 'function') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'Function', value);
}

function noNul(value, name) {
  if (typeof value === 'string' && value.includes('\0')) {
    throw nodeError('ERR_INVALID_ARG_VALUE', name, value, 'must be a string without null bytes');
  }
}

function noNuls(values, name) {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    // The name is only built when it is needed: this runs for every argument of every spawn.
    if (typeof value === 'string' && value.includes('\0')) noNul(value, `${name}[${i}]`);
  }
}

function int32(value, name) {
  if (typeof value !== 'number' || value !== (value | 0)) throw nodeError('ERR_INVALID_ARG_TYPE', name, 'int32', value);
}

/** A uid or gid, refused as child_process does: a BigInt by the language, which cannot mix it with numbers. */
function identity(value, name) {
  if (value !== (value | 0)) throw nodeError('ERR_INVALID_ARG_TYPE', name, 'int32', value);
}

function timeout(value) {
  if (value != null && !(Number.isInteger(value) && value >= 0)) {
    throw nodeError('ERR_OUT_OF_RANGE', 'timeout', 'an unsigned integer', value);
  }
}

function maxBuffer(value) {
  if (value != null && !(typeof value === 'number' && value >= 0)) {
    throw nodeError('ERR_OUT_OF_RANGE', 'options.maxBuffer', 'a positive number', value);
  }
}

function abortSignal(value, name) {
  if (value !== undefined && (value === null || typeof value !== 'object' || !('aborted' in value))) {
    throw nodeError('ERR_INVALID_ARG_TYPE', name, 'AbortSignal', value);
  }
}

/** The number of a signal given by number or by name in any case. */
function signalNumber(signal) {
  if (typeof signal === 'number' && SIGNAL_NAMES.has(signal)) return signal;
  if (typeof signal === 'string') {
    const number = SIGNALS[signal.toUpperCase()];
    if (number) return number;
  }
  throw nodeError('ERR_UNKNOWN_SIGNAL', signal);
}

/** The number of options.killSignal, or undefined when it was not given. */
function killSignal(signal) {
  if (typeof signal === 'string' || typeof signal === 'number') return signalNumber(signal);
  if (signal != null) throw nodeError('ERR_INVALID_ARG_TYPE', 'options.killSignal', ['string', 'number'], signal);
  return undefined;
}

function signalName(number) {
  return SIGNAL_NAMES.get(number) ?? `SIG${number}`;
}

/** The path of a string, Buffer or file URL. */
function path(value, name) {
  let result = value;
  if (value !== null && typeof value === 'object' && typeof value.href === 'string' && typeof value.protocol === 'string') {
    if (value.protocol !== 'file:') throw nodeError('ERR_INVALID_URL_SCHEME');
    result = fileURLToPath(value);
  }
  if (typeof result !== 'string' && !(result instanceof Uint8Array)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', name, ['string', 'Buffer', 'URL'], value);
  }
  if (typeof result === 'string' ? result.includes('\0') : result.includes(0)) {
    throw nodeError('ERR_INVALID_ARG_VALUE', name, result, 'must be a string, Uint8Array, or URL without null bytes');
  }
  return result;
}

/** The bytes behind a view; those of one whose memory was transferred away are none, as for child_process. */
function viewBytes(view) {
  // The length of what was transferred is 0; a new view of it cannot be made.
  return view.byteLength === 0 ? new Uint8Array(0) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

module.exports = {
  viewBytes,
  string, boolean, object, array, callable, noNul, noNuls, identity, int32, timeout, maxBuffer, abortSignal,
  signalNumber, signalName, killSignal, path,
};

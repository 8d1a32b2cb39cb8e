'use strict';

// The codecs of a channel: what JavaScript makes of a body, and a body of it.

const v8 = require('node:v8');
const { nodeError, ProcsError } = require('./errors.js');
const check = require('./validate.js');

function asBytes(value, name = 'value') {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof value === 'string') return Buffer.from(value);
  throw nodeError('ERR_INVALID_ARG_TYPE', name, ['string', 'Buffer', 'TypedArray', 'DataView', 'ArrayBuffer'], value);
}

function asJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw nodeError('ERR_INVALID_ARG_VALUE', 'value', value, 'cannot be written as JSON');
  return text;
}

/** By name: the number on the wire, and both directions. */
const CODECS = {
  __proto__: null,
  raw: { number: 0, encode: (value) => asBytes(value), decode: (body) => body },
  json: { number: 1, encode: asJson, decode: JSON.parse },
  v8: { number: 3, encode: (value) => v8.serialize(value), decode: (body) => v8.deserialize(body) },
};
const NAMES = ['raw', 'json', 'pickle', 'v8'];

function codecNamed(name, what) {
  const codec = typeof name === 'string' ? CODECS[name] : undefined;
  if (codec === undefined) throw nodeError('ERR_INVALID_ARG_VALUE', what, name, "must be one of: 'json', 'raw', 'v8'");
  return codec;
}

/** The value of a body in the codec of this number. */
function decode(number, body) {
  const name = NAMES[number];
  const codec = CODECS[name];
  if (codec === undefined) throw new ProcsError(`channel: no codec of this end (codec = ${name ?? number})`, 'PROTOCOL', 'ERR_PROCS_PROTOCOL');
  try {
    return codec.decode(body);
  } catch (cause) {
    const error = new ProcsError(`channel.recv: the body cannot be decoded (codec = ${name}): ${cause.message}`, 'PROTOCOL', 'ERR_PROCS_PROTOCOL');
    error.cause = cause;
    throw error;
  }
}

/** What an option lists, each made by `make`; undefined when it was not given. */
function listed(value, name, make) {
  if (value === undefined || value === null) return undefined;
  // A view lists its numbers: it was meant to be one of the things.
  if (typeof value[Symbol.iterator] !== 'function' || typeof value === 'string' || ArrayBuffer.isView(value)) {
    throw nodeError('ERR_INVALID_ARG_TYPE', name, 'Iterable', value);
  }
  return Array.from(value, (item, index) => make(item, `${name}[${index}]`));
}

function asFd(value, name) {
  check.int32(value, name);
  return value;
}

/** The options that say what goes beside a value: `{codec, buffers, fds}`, checked. */
function beside(options) {
  check.object(options, 'options');
  const { codec, buffers, fds } = options;
  return {
    codec: codec === undefined ? undefined : codecNamed(codec, 'options.codec'),
    buffers: listed(buffers, 'options.buffers', asBytes),
    fds: listed(fds, 'options.fds', asFd),
  };
}

/** What came beside a value. */
class Message {
  constructor(value, codec, body, buffers, fds) {
    this.value = value;
    this.codec = NAMES[codec];
    this.body = body;
    this.buffers = buffers ?? [];
    this.fds = fds ?? [];
  }
}

module.exports = { beside, codecNamed, decode, NAMES, Message };
